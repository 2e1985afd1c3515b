#include "tokenizer/json_stages.h"

#include <limits>

#include "core/error.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

[[noreturn]] void unsupported(const JsonNode& node, std::string_view type, std::string_view supported) {
  node.fail(fmt::format("type \"{}\" is not supported, expected one of {}", type, supported));
}

// {"String": "x"} or {"Regex": "x"}
Pattern parse_pattern(const JsonNode& node) {
  if (const auto text = node.find("String")) return Pattern::literal(text->text(), text->where());
  if (const auto regex = node.find("Regex")) return Pattern::regex(regex->text(), regex->where());
  node.fail("a pattern needs \"String\" or \"Regex\"");
}

SplitBehavior parse_behavior(const JsonNode& node) {
  const std::string name = node.text();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  node.fail(fmt::format("unknown behavior \"{}\"", name));
}

// Metaspace stands among the pre-tokenizers and the decoders; older files say add_prefix_space only.
struct MetaspaceFields {
  std::string replacement;
  PrependScheme scheme = PrependScheme::kAlways;
  bool split = true;
};
MetaspaceFields parse_metaspace(const JsonNode& node) {
  MetaspaceFields fields;
  append_utf8(fields.replacement, node.at("replacement").character());
  const std::string scheme = node.text_or("prepend_scheme", "always");
  if (scheme == "first") {
    fields.scheme = PrependScheme::kFirst;
  } else if (scheme == "never") {
    fields.scheme = PrependScheme::kNever;
  } else if (scheme != "always") {
    node.fail(fmt::format("unknown prepend_scheme \"{}\", expected always, first or never", scheme));
  }
  if (!node.flag_or("add_prefix_space", true)) {
    // The library refuses such a file unless the scheme agrees; without a scheme the meaning is plain.
    if (fields.scheme != PrependScheme::kNever && node.find("prepend_scheme")) {
      node.fail("add_prefix_space does not match prepend_scheme");
    }
    fields.scheme = PrependScheme::kNever;
  }
  fields.split = node.flag_or("split", true);
  return fields;
}

void append_pre_tokenizer(const JsonNode& node, PreTokenizerChain& chain) {
  const auto add = [&](PreTokenizerPtr step) {
    chain.ends_in_byte_level = false;
    chain.steps.push_back(std::move(step));
    if (chain.steps.size() > kMostSteps) node.fail(fmt::format("more than {} steps", kMostSteps));
  };
  const auto split_class = [&](Pattern::CharacterClass contains, SplitBehavior behavior) {
    add(make_split(Pattern::character_class(contains), behavior, false));
  };
  const std::string type = node.at("type").text();
  if (type == "Sequence") {
    for (const JsonNode& item : node.at("pretokenizers").items()) append_pre_tokenizer(item, chain);
  } else if (type == "ByteLevel") {
    if (node.flag_or("add_prefix_space", true)) add(make_prefix_space());
    if (node.flag_or("use_regex", true)) {
      add(make_split(Pattern::regex(kGpt2Pattern, node.where()), SplitBehavior::kIsolated, false));
    }
    add(make_byte_level_map());
    chain.ends_in_byte_level = true;
  } else if (type == "Split") {
    add(make_split(parse_pattern(node.at("pattern")), parse_behavior(node.at("behavior")),
                   node.flag_or("invert", false)));
  } else if (type == "Metaspace") {
    MetaspaceFields fields = parse_metaspace(node);
    add(make_metaspace(std::move(fields.replacement), fields.scheme, fields.split));
  } else if (type == "Whitespace") {
    add(make_whitespace_words());
  } else if (type == "WhitespaceSplit") {
    split_class(is_whitespace, SplitBehavior::kRemoved);
  } else if (type == "Digits") {
    const bool each = node.flag_or("individual_digits", false);
    split_class(is_numeric, each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  } else if (type == "Punctuation") {
    const auto behavior = node.find("behavior");
    split_class(is_punctuation, behavior ? parse_behavior(*behavior) : SplitBehavior::kIsolated);
  } else if (type == "CharDelimiterSplit") {
    std::string delimiter;
    append_utf8(delimiter, node.at("delimiter").character());
    add(make_split(Pattern::literal(std::move(delimiter), node.where()), SplitBehavior::kRemoved, false));
  } else {
    unsupported(
        node, type,
        "ByteLevel, Split, Metaspace, Whitespace, WhitespaceSplit, Digits, Punctuation, CharDelimiterSplit, "
        "Sequence");
  }
}

int32_t parse_id(const JsonNode& node) {
  const int64_t id = node.integer();
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) node.fail(fmt::format("{} is not a token id", id));
  return static_cast<int32_t>(id);
}

void append_template(const JsonNode& node, std::vector<int32_t>& frame) {
  for (const JsonNode& piece : node.at("single").items()) {
    if (const auto sequence = piece.find("Sequence")) {
      const std::string id = sequence->at("id").text();
      if (id != "A")
        sequence->fail(fmt::format("sequence \"{}\" in the template of a single text, expected \"A\"", id));
      frame.push_back(kTextPlace);
      continue;
    }
    const std::string name = piece.at("SpecialToken").at("id").text();
    const auto token = node.at("special_tokens").find(name);
    if (!token) piece.fail(fmt::format("special token \"{}\" is not listed in special_tokens", name));
    for (const JsonNode& id : token->at("ids").items()) frame.push_back(parse_id(id));
  }
}

// ["[CLS]", 101]
int32_t parse_text_and_id(const JsonNode& node) {
  const std::vector<JsonNode> items = node.items();
  if (items.size() != 2) node.fail(fmt::format("found {} values, expected a text and an id", items.size()));
  return parse_id(items[1]);
}

void append_decoder(const JsonNode& node, std::vector<DecoderPtr>& decoders) {
  const auto add = [&](DecoderPtr decoder) {
    decoders.push_back(std::move(decoder));
    if (decoders.size() > kMostSteps) node.fail(fmt::format("more than {} steps", kMostSteps));
  };
  const auto count = [&](std::string_view key) {
    const JsonNode value = node.at(key);
    if (value.integer() < 0) value.fail("a negative count");
    return static_cast<size_t>(value.integer());
  };
  const std::string type = node.at("type").text();
  if (type == "Sequence") {
    for (const JsonNode& item : node.at("decoders").items()) append_decoder(item, decoders);
  } else if (type == "ByteLevel") {
    add(make_byte_level_decoder());
  } else if (type == "ByteFallback") {
    add(make_byte_fallback_decoder());
  } else if (type == "Metaspace") {
    MetaspaceFields fields = parse_metaspace(node);
    add(make_metaspace_decoder(std::move(fields.replacement), fields.scheme != PrependScheme::kNever));
  } else if (type == "Replace") {
    add(make_replace_decoder(parse_pattern(node.at("pattern")), node.at("content").text()));
  } else if (type == "Strip") {
    add(make_strip_decoder(node.at("content").character(), count("start"), count("stop")));
  } else if (type == "Fuse") {
    add(make_fuse_decoder());
  } else if (type == "BPEDecoder") {
    add(make_bpe_decoder(node.text_or("suffix", "</w>")));
  } else {
    unsupported(node, type, "ByteLevel, ByteFallback, Metaspace, Replace, Strip, Fuse, BPEDecoder, Sequence");
  }
}

}  // namespace

NormalizerPtr parse_normalizer(const JsonNode& node) {
  const std::string type = node.at("type").text();
  if (type == "Sequence") {
    std::vector<NormalizerPtr> steps;
    for (const JsonNode& item : node.at("normalizers").items()) {
      steps.push_back(parse_normalizer(item));
      if (steps.size() > kMostSteps) node.fail(fmt::format("more than {} steps", kMostSteps));
    }
    return make_normalizer_sequence(std::move(steps));
  }
  if (type == "NFC") return make_unicode_normalizer(UnicodeForm::kNfc);
  if (type == "NFD") return make_unicode_normalizer(UnicodeForm::kNfd);
  if (type == "NFKC") return make_unicode_normalizer(UnicodeForm::kNfkc);
  if (type == "NFKD") return make_unicode_normalizer(UnicodeForm::kNfkd);
  if (type == "Lowercase") return make_lowercase_normalizer();
  if (type == "StripAccents") return make_strip_accents_normalizer();
  if (type == "Nmt") return make_nmt_normalizer();
  if (type == "ByteLevel") return make_byte_level_normalizer();
  if (type == "Prepend") return make_prepend_normalizer(node.at("prepend").text());
  if (type == "Strip")
    return make_strip_normalizer(node.flag_or("strip_left", true), node.flag_or("strip_right", true));
  if (type == "Replace") {
    return make_replace_normalizer(parse_pattern(node.at("pattern")), node.at("content").text());
  }
  if (type == "Precompiled") {
    const JsonNode charsmap = node.at("precompiled_charsmap");
    return make_precompiled_normalizer(decode_base64(charsmap.text(), charsmap.where()), charsmap.where());
  }
  unsupported(
      node, type,
      "NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Nmt, ByteLevel, Prepend, Replace, Precompiled, "
      "Sequence");
}

PreTokenizerChain parse_pre_tokenizer(const JsonNode& node) {
  PreTokenizerChain chain;
  append_pre_tokenizer(node, chain);
  return chain;
}

std::vector<int32_t> parse_post_processor(const JsonNode& node) {
  const std::string type = node.at("type").text();
  std::vector<int32_t> frame;
  if (type == "ByteLevel") {
    frame = {kTextPlace};  // it moves offsets only
  } else if (type == "TemplateProcessing") {
    append_template(node, frame);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    frame = {parse_text_and_id(node.at("cls")), kTextPlace, parse_text_and_id(node.at("sep"))};
  } else if (type == "Sequence") {
    frame = {kTextPlace};
    for (const JsonNode& item : node.at("processors").items()) {
      // Each processor frames what the ones before it made.
      std::vector<int32_t> outer;
      for (const int32_t id : parse_post_processor(item)) {
        if (id == kTextPlace) {
          outer.insert(outer.end(), frame.begin(), frame.end());
        } else {
          outer.push_back(id);
        }
      }
      frame = std::move(outer);
      if (frame.size() > kMostSteps * kMostSteps) node.fail("the processors add too many tokens");
    }
  } else {
    unsupported(node, type, "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing, Sequence");
  }
  if (frame.size() > kMostSteps * kMostSteps) node.fail("the template adds too many tokens");
  return frame;
}

std::vector<DecoderPtr> parse_decoder(const JsonNode& node) {
  std::vector<DecoderPtr> decoders;
  append_decoder(node, decoders);
  return decoders;
}

}  // namespace reprise::tokenizer
