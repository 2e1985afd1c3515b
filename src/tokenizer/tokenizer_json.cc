// Reads tokenizer.json: the model with its vocabulary, the added tokens, and the whole. Vocabularies and
// merges are checked in full: ids must be 0..n-1 without a hole or a duplicate, merges must name known
// tokens. They are millions of bytes and read with simdjson as they are; everything else is read by
// core/json_fields.h.
#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "core/error.h"
#include "core/json.h"
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

// A member of the model that is read with simdjson.
struct LargeValue {
  simdjson::dom::element value;
  std::string name;

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw Error("{}: {}", name, fmt::format(format, std::forward<Args>(args)...));
  }
};

struct ModelJson {
  JsonFields fields;  // without vocab and merges
  std::optional<LargeValue> vocab, merges;

  const LargeValue& at(const std::optional<LargeValue>& member, std::string_view key) const {
    if (!member) throw Error("{} is missing", fields.name_of(key));
    return *member;
  }
};

// {"token": id, ...}
Vocab parse_vocab(const LargeValue& node) {
  simdjson::dom::object object;
  if (node.value.get(object) != simdjson::SUCCESS) node.fail("expected an object of tokens and ids");
  // The size that simdjson gives saturates at 2^24-1, so it is counted.
  size_t count = 0;
  for ([[maybe_unused]] const auto field : object) ++count;
  std::vector<std::string> tokens(count);
  std::vector<char> seen(count, 0);
  for (const auto field : object) {
    int64_t id = -1;
    if (field.value.get(id) != simdjson::SUCCESS || id < 0)
      node.fail("token \"{}\" has an id that is no whole number from 0", field.key);
    if (static_cast<size_t>(id) >= count)
      node.fail("token \"{}\" has id {} in a vocabulary of {} tokens: the ids have a hole", field.key, id,
                count);
    if (seen[id]) node.fail("tokens \"{}\" and \"{}\" both have id {}", tokens[id], field.key, id);
    seen[id] = 1;
    tokens[id] = field.key;
  }
  return make_unique_vocab(tokens, node.name);
}

// ["a b", ...] or [["a", "b"], ...]
std::vector<Bpe::Merge> parse_merges(const LargeValue& node) {
  simdjson::dom::array array;
  if (node.value.get(array) != simdjson::SUCCESS) node.fail("expected a list");
  std::vector<Bpe::Merge> merges;
  for (const simdjson::dom::element item : array) {
    std::string_view line, left, right;
    simdjson::dom::array pair;
    if (item.get(line) == simdjson::SUCCESS) {
      if (line.starts_with("#version")) continue;
      const size_t space = line.find(' ');
      if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
        node.fail("merge {} is \"{}\", expected two tokens and one space", merges.size(), line);
      }
      left = line.substr(0, space);
      right = line.substr(space + 1);
    } else if (item.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
               pair.at(0).get(left) != simdjson::SUCCESS || pair.at(1).get(right) != simdjson::SUCCESS) {
      node.fail("merge {} is neither a text nor a pair of texts", merges.size());
    }
    merges.emplace_back(left, right);
  }
  return merges;
}

ModelPtr parse_bpe(const ModelJson& model, PreTokenizerChain& chain) {
  const JsonFields& fields = model.fields;
  if (fields.number("dropout").value_or(0) != 0.0)
    fields.fail("dropout", "null: BPE dropout makes encodings random");
  BpeOptions options;
  options.unk_token = fields.string("unk_token").value_or("");
  options.continuing_subword_prefix = fields.string("continuing_subword_prefix").value_or("");
  options.end_of_word_suffix = fields.string("end_of_word_suffix").value_or("");
  options.fuse_unk = fields.boolean("fuse_unk").value_or(false);
  options.byte_fallback = fields.boolean("byte_fallback").value_or(false);
  options.ignore_merges = fields.boolean("ignore_merges").value_or(false);
  if (chain.ends_in_byte_level && options.continuing_subword_prefix.empty() &&
      options.end_of_word_suffix.empty()) {
    // The model maps bytes by itself, without a text in between.
    options.byte_level = true;
    chain.steps.pop_back();
  }
  const LargeValue& vocab = model.at(model.vocab, "vocab");
  return std::make_unique<Bpe>(parse_vocab(vocab), parse_merges(model.at(model.merges, "merges")),
                               std::move(options), vocab.name);
}

ModelPtr parse_unigram(const ModelJson& model) {
  const LargeValue& list = model.at(model.vocab, "vocab");
  simdjson::dom::array array;
  if (list.value.get(array) != simdjson::SUCCESS) list.fail("expected a list of tokens and scores");
  std::vector<std::string> tokens;
  std::vector<double> scores;
  for (const simdjson::dom::element item : array) {
    simdjson::dom::array pair;
    std::string_view token;
    double score = 0;
    if (item.get(pair) != simdjson::SUCCESS || pair.size() != 2 ||
        pair.at(0).get(token) != simdjson::SUCCESS || pair.at(1).get(score) != simdjson::SUCCESS) {
      list.fail("entry {} is not a token with its score", tokens.size());
    }
    tokens.emplace_back(token);
    scores.push_back(score);
  }
  if (tokens.empty()) list.fail("the vocabulary is empty");
  const auto last = static_cast<int64_t>(tokens.size()) - 1;
  const auto unk_id = static_cast<int32_t>(model.fields.integer("unk_id", 0, last).value_or(kNoToken));
  return std::make_unique<Unigram>(make_unique_vocab(tokens, list.name), std::move(scores), unk_id,
                                   model.fields.boolean("byte_fallback").value_or(false));
}

ModelPtr parse_model(const ModelJson& model, PreTokenizerChain& chain) {
  std::string type = model.fields.string("type").value_or("");
  // Files of the first versions leave the type to be guessed.
  if (type.empty())
    type = model.merges ? "BPE" : model.at(model.vocab, "vocab").value.is_array() ? "Unigram" : "WordPiece";
  if (type == "BPE") return parse_bpe(model, chain);
  if (type == "Unigram") return parse_unigram(model);
  throw Error("{} is \"{}\", which is not supported, expected BPE or Unigram", model.fields.name_of("type"),
              type);
}

std::vector<AddedToken> parse_added_tokens(const JsonValue& list, const Vocab& vocab) {
  std::vector<AddedToken> tokens;
  for (const JsonValue& item : list.items()) {
    const JsonFields fields = item.fields();
    AddedToken token;
    token.id = static_cast<int32_t>(fields.at("id").integer(0, INT32_MAX - 1));
    token.content = fields.at("content").string();
    if (token.content.empty()) fields.fail("content", "a text");
    token.special = fields.boolean("special").value_or(false);
    token.normalized = fields.boolean("normalized").value_or(!token.special);
    token.single_word = fields.boolean("single_word").value_or(false);
    token.lstrip = fields.boolean("lstrip").value_or(false);
    token.rstrip = fields.boolean("rstrip").value_or(false);
    const int32_t known = vocab.find(token.content);
    if (known != kNoToken && known != token.id) {
      throw Error("{}: \"{}\" has id {}, but {} in the vocabulary", item.name(), token.content, token.id,
                  known);
    }
    if (known == kNoToken && token.id < vocab.size()) {
      throw Error("{}: \"{}\" has id {}, which is \"{}\" in the vocabulary", item.name(), token.content,
                  token.id, vocab.text(token.id));
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

// The object's fields as Json, but for two.
Json without(const simdjson::dom::object& object, std::string_view name, std::string_view other_name,
             std::string_view what) {
  std::string text = "{";
  for (const auto field : object) {
    if (field.key == name || field.key == other_name) continue;
    if (text.size() > 1) text += ',';
    text += Json(field.key).dump() + ':' + simdjson::minify(field.value);
  }
  return parse_json(text + '}', what);
}

std::optional<LargeValue> large_value(const simdjson::dom::object& object, const JsonFields& fields,
                                      std::string_view key) {
  simdjson::dom::element value;
  if (object[key].get(value) != simdjson::SUCCESS || value.is_null()) return std::nullopt;
  return LargeValue{value, fields.name_of(key)};
}

}  // namespace

TokenizerParts parse_tokenizer_json(std::string_view text, std::string_view what, TokenizerConfig config) {
  simdjson::dom::parser parser;
  simdjson::dom::element document;
  const simdjson::error_code error = parser.parse(text.data(), text.size(), true).get(document);
  if (error != simdjson::SUCCESS) {
    throw Error("[{}] not valid JSON ({} bytes): {}", what, text.size(), simdjson::error_message(error));
  }
  simdjson::dom::object object, model;
  if (document.get(object) != simdjson::SUCCESS) throw Error("{}: expected an object", what);
  const Json json = without(object, "model", "model", what);
  const JsonFields root(json, what);
  if (object["model"].get(model) != simdjson::SUCCESS)
    throw Error("{} is missing or no object", root.name_of("model"));
  const Json model_json = without(model, "vocab", "merges", what);
  const JsonFields model_fields(model_json, root.name_of("model"), FieldNames::nested);

  TokenizerParts parts;
  parts.config = std::move(config);
  if (const auto node = root.value("normalizer")) parts.normalizer = parse_normalizer(*node);
  PreTokenizerChain chain;
  if (const auto node = root.value("pre_tokenizer")) chain = parse_pre_tokenizer(*node);
  parts.model = parse_model(
      {model_fields, large_value(model, model_fields, "vocab"), large_value(model, model_fields, "merges")},
      chain);
  parts.pre_tokenizers = std::move(chain.steps);
  const Vocab& vocab = parts.model->vocab();
  if (const auto node = root.value("added_tokens")) {
    parts.added_tokens = parse_added_tokens(*node, vocab);
    check_added_tokens(parts.added_tokens, vocab, node->name());
  }
  add_declared_tokens(parts.config, vocab, parts.added_tokens);
  if (const auto node = root.value("post_processor")) {
    parts.frame = parse_post_processor(*node);
    const int64_t size = vocab.size() + static_cast<int64_t>(parts.added_tokens.size());
    for (const int32_t id : parts.frame) {
      if (id >= size) throw Error("{} adds token {}, and there are {} at most", node->name(), id, size);
    }
  } else {
    frame_by_config(parts);
  }
  if (const auto node = root.value("decoder")) parts.decoders = parse_decoder(*node);
  return parts;
}

}  // namespace reprise::tokenizer
