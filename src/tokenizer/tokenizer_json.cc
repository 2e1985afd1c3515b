// Reads tokenizer.json: the model with its vocabulary, the added tokens, and the whole. The vocabulary of a
// file is trusted in nothing: ids must be 0..n-1 without a hole or a double, merges must name known tokens.
#include <algorithm>
#include <limits>
#include <optional>
#include <unordered_map>

#include "core/error.h"
#include "tokenizer/bpe.h"
#include "tokenizer/json_stages.h"
#include "tokenizer/tokenizer_parts.h"
#include "tokenizer/unigram.h"

namespace reprise::tokenizer {

Vocab make_unique_vocab(const std::vector<std::string>& tokens, std::string_view what) {
  Vocab vocab(tokens);
  for (int32_t id = 0; id < vocab.size(); ++id) {
    const int32_t found = vocab.find(vocab.text(id));
    if (found != id)
      throw Error("[{}] token \"{}\" is given twice, as {} and {}", what, vocab.text(id), id, found);
  }
  return vocab;
}

namespace {

// {"token": id, ...}
Vocab parse_vocab(const JsonNode& node) {
  simdjson::dom::object object;
  if (node.value().get(object) != simdjson::SUCCESS) {
    node.fail(fmt::format("found {}, expected an object of tokens and ids", json_type_name(node.value())));
  }
  // The size that simdjson gives saturates at 2^24-1, so it is counted.
  size_t count = 0;
  for ([[maybe_unused]] const auto field : object) ++count;
  std::vector<std::string> tokens(count);
  std::vector<char> seen(count, 0);
  for (const auto field : object) {
    int64_t id = -1;
    if (field.value.get(id) != simdjson::SUCCESS || id < 0) {
      node.fail(fmt::format("token \"{}\" has {} for an id, expected a whole number from 0", field.key,
                            field.value.is_int64() ? "a negative number" : json_type_name(field.value)));
    }
    if (static_cast<size_t>(id) >= count) {
      node.fail(fmt::format("token \"{}\" has id {} in a vocabulary of {} tokens: the ids have a hole",
                            field.key, id, count));
    }
    if (seen[id])
      node.fail(fmt::format("tokens \"{}\" and \"{}\" both have id {}", tokens[id], field.key, id));
    seen[id] = 1;
    tokens[id] = field.key;
  }
  return make_unique_vocab(tokens, node.where());
}

// ["a b", ...] or [["a", "b"], ...]
std::vector<Bpe::Merge> parse_merges(const JsonNode& node) {
  simdjson::dom::array array;
  if (node.value().get(array) != simdjson::SUCCESS) {
    node.fail(fmt::format("found {}, expected a list", json_type_name(node.value())));
  }
  std::vector<Bpe::Merge> merges;
  for (const simdjson::dom::element item : array) {
    std::string_view line, left, right;
    simdjson::dom::array pair;
    if (item.get(line) == simdjson::SUCCESS) {
      if (line.starts_with("#version")) continue;
      const size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
        node.fail(fmt::format("merge {} is \"{}\", expected two tokens and one space", merges.size(), line));
      }
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else if (item.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
               pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
      node.fail(fmt::format("merge {} is {}, expected a text or a pair of texts", merges.size(),
                            json_type_name(item)));
    }
    merges.emplace_back(left, right);
  }
  return merges;
}

ModelPtr parse_bpe(const JsonNode& node, PreTokenizerChain& chain) {
  if (const auto dropout = node.find("dropout"); dropout && dropout->number() != 0.0) {
    dropout->fail("BPE dropout makes encodings random; set it to null");
  }
  BpeOptions options;
  options.unk_token = node.text_or("unk_token", "");
  options.continuing_subword_prefix = node.text_or("continuing_subword_prefix", "");
  options.end_of_word_suffix = node.text_or("end_of_word_suffix", "");
  options.fuse_unk = node.flag_or("fuse_unk", false);
  options.byte_fallback = node.flag_or("byte_fallback", false);
  options.ignore_merges = node.flag_or("ignore_merges", false);
  if (chain.ends_in_byte_level && options.continuing_subword_prefix.empty() &&
      options.end_of_word_suffix.empty()) {
    // The model maps bytes by itself, without a text in between.
    options.byte_level = true;
    chain.steps.pop_back();
  }
  return std::make_unique<Bpe>(parse_vocab(node.at("vocab")), parse_merges(node.at("merges")),
                               std::move(options), node.where());
}

ModelPtr parse_unigram(const JsonNode& node) {
  const JsonNode list = node.at("vocab");
  simdjson::dom::array array;
  if (list.value().get(array) != simdjson::SUCCESS) {
    list.fail(fmt::format("found {}, expected a list of tokens and scores", json_type_name(list.value())));
  }
  std::vector<std::string> tokens;
  std::vector<double> scores;
  for (const simdjson::dom::element item : array) {
    simdjson::dom::array pair;
    std::string_view token;
    double score = 0;
    if (item.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(token) != simdjson::SUCCESS || pair.at(1).get(score) != simdjson::SUCCESS) {
      list.fail(fmt::format("entry {} is not a token with its score", tokens.size()));
    }
    tokens.emplace_back(token);
    scores.push_back(score);
  }
  if (tokens.empty()) list.fail("the vocabulary is empty");
  int32_t unk_id = kNoToken;
  if (const auto unk = node.find("unk_id")) {
    const int64_t id = unk->integer();
    if (id < 0 || static_cast<uint64_t>(id) >= tokens.size()) {
      unk->fail(fmt::format("the unknown token is {}, expected an id below {}", id, tokens.size()));
    }
    unk_id = static_cast<int32_t>(id);
  }
  return std::make_unique<Unigram>(make_unique_vocab(tokens, list.where()), std::move(scores), unk_id,
                                   node.flag_or("byte_fallback", false));
}

ModelPtr parse_model(const JsonNode& node, PreTokenizerChain& chain) {
  std::string type = node.text_or("type", "");
  // Files of the first versions leave the type to be guessed.
  if (type.empty())
    type = node.find("merges") ? "BPE" : node.at("vocab").is_array() ? "Unigram" : "WordPiece";
  if (type == "BPE") return parse_bpe(node, chain);
  if (type == "Unigram") return parse_unigram(node);
  node.fail(fmt::format("a model of type \"{}\" is not supported, expected BPE or Unigram", type));
}

std::vector<AddedToken> parse_added_tokens(const JsonNode& node, const Vocab& vocab) {
  std::vector<AddedToken> tokens;
  for (const JsonNode& item : node.items()) {
    AddedToken token;
    const JsonNode id_node = item.at("id");
    const int64_t id = id_node.integer();
    if (id < 0 || id >= std::numeric_limits<int32_t>::max())
      id_node.fail(fmt::format("{} is not a token id", id));
    token.id = static_cast<int32_t>(id);
    token.content = item.at("content").text();
    if (token.content.empty()) item.fail("an added token without a text");
    token.special = item.flag_or("special", false);
    token.normalized = item.flag_or("normalized", !token.special);
    token.single_word = item.flag_or("single_word", false);
    token.lstrip = item.flag_or("lstrip", false);
    token.rstrip = item.flag_or("rstrip", false);
    const int32_t known = vocab.find(token.content);
    if (known != kNoToken && known != token.id) {
      item.fail(fmt::format("\"{}\" has id {}, but {} in the vocabulary", token.content, token.id, known));
    }
    if (known == kNoToken && token.id < vocab.size()) {
      item.fail(fmt::format("\"{}\" has id {}, which is \"{}\" in the vocabulary", token.content, token.id,
                            vocab.text(token.id)));
    }
    tokens.push_back(std::move(token));
  }
  return tokens;
}

// Added tokens continue the vocabulary without a hole, and each occurs once.
void check_added_tokens(const std::vector<AddedToken>& tokens, const Vocab& vocab, std::string_view what) {
  std::vector<std::pair<int32_t, const AddedToken*>> by_id;
  for (const AddedToken& token : tokens) by_id.emplace_back(token.id, &token);
  std::sort(by_id.begin(), by_id.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  int32_t next = vocab.size();
  for (size_t k = 0; k < by_id.size(); ++k) {
    const auto [id, token] = by_id[k];
    if (k > 0 && by_id[k - 1].first == id) {
      throw Error("[{}] added tokens \"{}\" and \"{}\" both have id {}", what, by_id[k - 1].second->content,
                  token->content, id);
    }
    if (id < vocab.size()) continue;
    if (id != next) {
      throw Error("[{}] added token \"{}\" has id {}, expected {}: the ids have a hole", what, token->content,
                  id, next);
    }
    ++next;
  }
  std::vector<std::string> contents;
  for (const AddedToken& token : tokens) contents.push_back(token.content);
  make_unique_vocab(contents, what);
}

// Adds what the files beside tokenizer.json declare, as the tokenizers library's add_tokens does: a token
// that the vocabulary has is marked, another one gets the next free id. A token that was special once stays
// special.
void add_declared_tokens(const TokenizerConfig& config, const Vocab& vocab, std::vector<AddedToken>& tokens) {
  std::unordered_map<std::string, size_t, SeededHash> places;
  int32_t next = vocab.size();
  for (size_t k = 0; k < tokens.size(); ++k) {
    places.emplace(tokens[k].content, k);
    next = std::max(next, tokens[k].id + 1);
  }
  for (const DeclaredToken& declared : config.declared_tokens) {
    const auto [place, added] = places.emplace(declared.content, tokens.size());
    if (!added && !declared.replaces) continue;
    if (added) {
      const int32_t known = vocab.find(declared.content);
      tokens.emplace_back().id = known != kNoToken ? known : next++;
    }
    AddedToken& token = tokens[place->second];
    token.content = declared.content;
    token.special |= declared.special;
    token.normalized = declared.normalized;
    token.single_word = declared.single_word;
    token.lstrip = declared.lstrip;
    token.rstrip = declared.rstrip;
  }
}

// Without a post-processor the configuration says what surrounds a text.
void frame_by_config(TokenizerParts& parts) {
  if ((parts.config.add_bos_token || parts.config.add_eos_token) && !parts.config.role_problem.empty()) {
    throw Error("{}", parts.config.role_problem);
  }
  const auto id_of = [&](std::string_view role) {
    const std::string_view text = parts.config.special_token(role);
    for (const AddedToken& token : parts.added_tokens) {
      if (token.content == text) return token.id;
    }
    return parts.model->vocab().find(text);
  };
  const int32_t bos = parts.config.add_bos_token ? id_of("bos_token") : kNoToken;
  const int32_t eos = parts.config.add_eos_token ? id_of("eos_token") : kNoToken;
  parts.frame.clear();
  if (bos != kNoToken) parts.frame.push_back(bos);
  parts.frame.push_back(kTextPlace);
  if (eos != kNoToken) parts.frame.push_back(eos);
}

}  // namespace

TokenizerParts parse_tokenizer_json(std::string_view text, std::string_view what, TokenizerConfig config) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  const simdjson::error_code error = parser.parse(text.data(), text.size(), true).get(document);
  if (error != simdjson::SUCCESS) {
    throw Error("[{}] not valid JSON ({} bytes): {}", what, text.size(), simdjson::error_message(error));
  }
  const JsonNode root(document, fmt::format("{}:", what));
  TokenizerParts parts;
  parts.config = std::move(config);
  if (const auto node = root.find("normalizer")) parts.normalizer = parse_normalizer(*node);
  PreTokenizerChain chain;
  if (const auto node = root.find("pre_tokenizer")) chain = parse_pre_tokenizer(*node);
  parts.model = parse_model(root.at("model"), chain);
  parts.pre_tokenizers = std::move(chain.steps);
  const Vocab& vocab = parts.model->vocab();
  if (const auto node = root.find("added_tokens")) {
    parts.added_tokens = parse_added_tokens(*node, vocab);
    check_added_tokens(parts.added_tokens, vocab, node->where());
  }
  add_declared_tokens(parts.config, vocab, parts.added_tokens);
  if (const auto node = root.find("post_processor")) {
    parts.frame = parse_post_processor(*node);
    const int64_t size = vocab.size() + static_cast<int64_t>(parts.added_tokens.size());
    for (const int32_t id : parts.frame) {
      if (id >= size) node->fail(fmt::format("adds token {}, and there are {} at most", id, size));
    }
  } else {
    frame_by_config(parts);
  }
  if (const auto node = root.find("decoder")) parts.decoders = parse_decoder(*node);
  return parts;
}

}  // namespace reprise::tokenizer
