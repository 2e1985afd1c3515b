#include "tokenizer/json_stages.h"

#include <cstdint>

#include "core/error.h"
#include "core/json.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

[[noreturn]] void unsupported(const JsonFields& stage, std::string_view supported) {
  stage.fail("type", fmt::format("one of {} (others are not supported)", supported));
}

char32_t character_of(const JsonValue& value) {
  const std::string text = value.string();
  if (text.empty() || static_cast<size_t>(character_at(text, 0).length) != text.size())
    value.fail("one character");
  return character_at(text, 0).code;
}

bool flag_or(const JsonFields& fields, std::string_view key, bool fallback) {
  return fields.boolean(key).value_or(fallback);
}

void check_steps(size_t steps, const JsonValue& node) {
  if (steps > kMostSteps) throw Error("{} has more than {} steps", node.name(), kMostSteps);
}

// {"String": "x"} or {"Regex": "x"}
Pattern parse_pattern(const JsonValue& node) {
  const JsonFields fields = node.fields();
  if (const auto text = fields.value("String")) return Pattern::literal(text->string(), text->name());
  if (const auto regex = fields.value("Regex")) return Pattern::regex(regex->string(), regex->name());
  node.fail("an object with \"String\" or \"Regex\"");
}

SplitBehavior parse_behavior(const JsonValue& node) {
  const std::string name = node.string();
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  node.fail("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
}

// Metaspace is a pre-tokenizer and a decoder; older files have add_prefix_space only.
struct MetaspaceFields {
  std::string replacement;
  PrependScheme scheme = PrependScheme::kAlways;
  bool split = true;
};
MetaspaceFields parse_metaspace(const JsonFields& node) {
  MetaspaceFields fields;
  append_utf8(fields.replacement, character_of(node.at("replacement")));
  const std::string scheme = node.string("prepend_scheme").value_or("always");
  if (scheme == "first") {
    fields.scheme = PrependScheme::kFirst;
  } else if (scheme == "never") {
    fields.scheme = PrependScheme::kNever;
  } else if (scheme != "always") {
    node.fail("prepend_scheme", "always, first or never");
  }
  if (!flag_or(node, "add_prefix_space", true)) {
    // The library refuses such a file unless the scheme agrees; without a scheme the meaning is plain.
    if (fields.scheme != PrependScheme::kNever && node.has("prepend_scheme"))
      node.fail("prepend_scheme", "\"never\", since add_prefix_space is false");
    fields.scheme = PrependScheme::kNever;
  }
  fields.split = flag_or(node, "split", true);
  return fields;
}

void append_pre_tokenizer(const JsonValue& value, PreTokenizerChain& chain) {
  const JsonFields node = value.fields();
  const auto add = [&](PreTokenizerPtr step) {
    chain.ends_in_byte_level = false;
    chain.steps.push_back(std::move(step));
    check_steps(chain.steps.size(), value);
  };
  const auto split_class = [&](Pattern::CharacterClass contains, SplitBehavior behavior) {
    add(make_split(Pattern::character_class(contains), behavior, false));
  };
  const std::string type = node.at("type").string();
  if (type == "Sequence") {
    for (const JsonValue& item : node.at("pretokenizers").items()) append_pre_tokenizer(item, chain);
  } else if (type == "ByteLevel") {
    if (flag_or(node, "add_prefix_space", true)) add(make_prefix_space());
    if (flag_or(node, "use_regex", true)) {
      add(make_split(Pattern::regex(kGpt2Pattern, value.name()), SplitBehavior::kIsolated, false));
    }
    add(make_byte_level_map());
    chain.ends_in_byte_level = true;
  } else if (type == "Split") {
    add(make_split(parse_pattern(node.at("pattern")), parse_behavior(node.at("behavior")),
                   flag_or(node, "invert", false)));
  } else if (type == "Metaspace") {
    MetaspaceFields fields = parse_metaspace(node);
    add(make_metaspace(std::move(fields.replacement), fields.scheme, fields.split));
  } else if (type == "Whitespace") {
    add(make_whitespace_words());
  } else if (type == "WhitespaceSplit") {
    split_class(is_whitespace, SplitBehavior::kRemoved);
  } else if (type == "Digits") {
    const bool each = flag_or(node, "individual_digits", false);
    split_class(is_numeric, each ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
  } else if (type == "Punctuation") {
    const auto behavior = node.value("behavior");
    split_class(is_punctuation, behavior ? parse_behavior(*behavior) : SplitBehavior::kIsolated);
  } else if (type == "CharDelimiterSplit") {
    std::string delimiter;
    append_utf8(delimiter, character_of(node.at("delimiter")));
    add(make_split(Pattern::literal(std::move(delimiter), value.name()), SplitBehavior::kRemoved, false));
  } else {
    unsupported(
        node,
        "ByteLevel, Split, Metaspace, Whitespace, WhitespaceSplit, Digits, Punctuation, CharDelimiterSplit, "
        "Sequence");
  }
}

int32_t parse_id(const JsonValue& node) {
  return static_cast<int32_t>(node.integer(0, INT32_MAX));
}

void append_template(const JsonFields& node, std::vector<int32_t>& frame) {
  for (const JsonValue& item : node.at("single").items()) {
    const JsonFields piece = item.fields();
    if (const auto sequence = piece.value("Sequence")) {
      const JsonFields fields = sequence->fields();
      if (fields.at("id").string() != "A") fields.fail("id", "\"A\" in the template of a single text");
      frame.push_back(kTextPlace);
      continue;
    }
    const JsonFields named = piece.at("SpecialToken").fields();
    const auto token = node.at("special_tokens").fields().value(named.at("id").string());
    if (!token) named.fail("id", "a token that is listed in special_tokens");
    for (const JsonValue& id : token->fields().at("ids").items()) frame.push_back(parse_id(id));
  }
}

// ["[CLS]", 101]
int32_t parse_text_and_id(const JsonValue& node) {
  const std::vector<JsonValue> items = node.items();
  if (items.size() != 2) node.fail("a text and an id");
  return parse_id(items[1]);
}

void append_decoder(const JsonValue& value, std::vector<DecoderPtr>& decoders) {
  const JsonFields node = value.fields();
  const auto add = [&](DecoderPtr decoder) {
    decoders.push_back(std::move(decoder));
    check_steps(decoders.size(), value);
  };
  const auto count = [&](std::string_view key) { return static_cast<size_t>(node.at(key).integer(0)); };
  const std::string type = node.at("type").string();
  if (type == "Sequence") {
    for (const JsonValue& item : node.at("decoders").items()) append_decoder(item, decoders);
  } else if (type == "ByteLevel") {
    add(make_byte_level_decoder());
  } else if (type == "ByteFallback") {
    add(make_byte_fallback_decoder());
  } else if (type == "Metaspace") {
    MetaspaceFields fields = parse_metaspace(node);
    add(make_metaspace_decoder(std::move(fields.replacement), fields.scheme != PrependScheme::kNever));
  } else if (type == "Replace") {
    add(make_replace_decoder(parse_pattern(node.at("pattern")), node.at("content").string()));
  } else if (type == "Strip") {
    add(make_strip_decoder(character_of(node.at("content")), count("start"), count("stop")));
  } else if (type == "Fuse") {
    add(make_fuse_decoder());
  } else if (type == "BPEDecoder") {
    add(make_bpe_decoder(node.string("suffix").value_or("</w>")));
  } else {
    unsupported(node, "ByteLevel, ByteFallback, Metaspace, Replace, Strip, Fuse, BPEDecoder, Sequence");
  }
}

}  // namespace

NormalizerPtr parse_normalizer(const JsonValue& value) {
  const JsonFields node = value.fields();
  const std::string type = node.at("type").string();
  if (type == "Sequence") {
    std::vector<NormalizerPtr> steps;
    for (const JsonValue& item : node.at("normalizers").items()) {
      steps.push_back(parse_normalizer(item));
      check_steps(steps.size(), value);
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
  if (type == "Prepend") return make_prepend_normalizer(node.at("prepend").string());
  if (type == "Strip")
    return make_strip_normalizer(flag_or(node, "strip_left", true), flag_or(node, "strip_right", true));
  if (type == "Replace") {
    return make_replace_normalizer(parse_pattern(node.at("pattern")), node.at("content").string());
  }
  if (type == "Precompiled") {
    const JsonValue charsmap = node.at("precompiled_charsmap");
    return make_precompiled_normalizer(decode_base64(charsmap.string(), charsmap.name()), charsmap.name());
  }
  unsupported(
      node,
      "NFC, NFD, NFKC, NFKD, Lowercase, Strip, StripAccents, Nmt, ByteLevel, Prepend, Replace, Precompiled, "
      "Sequence");
}

PreTokenizerChain parse_pre_tokenizer(const JsonValue& node) {
  PreTokenizerChain chain;
  append_pre_tokenizer(node, chain);
  return chain;
}

std::vector<int32_t> parse_post_processor(const JsonValue& value) {
  const JsonFields node = value.fields();
  const std::string type = node.at("type").string();
  std::vector<int32_t> frame;
  if (type == "ByteLevel") {
    frame = {kTextPlace};  // it moves offsets only
  } else if (type == "TemplateProcessing") {
    append_template(node, frame);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    frame = {parse_text_and_id(node.at("cls")), kTextPlace, parse_text_and_id(node.at("sep"))};
  } else if (type == "Sequence") {
    frame = {kTextPlace};
    for (const JsonValue& item : node.at("processors").items()) {
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
      if (frame.size() > kMostSteps * kMostSteps) throw Error("{} adds too many tokens", value.name());
    }
  } else {
    unsupported(node, "ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing, Sequence");
  }
  if (frame.size() > kMostSteps * kMostSteps) throw Error("{} adds too many tokens", value.name());
  return frame;
}

std::vector<DecoderPtr> parse_decoder(const JsonValue& node) {
  std::vector<DecoderPtr> decoders;
  append_decoder(node, decoders);
  return decoders;
}

}  // namespace reprise::tokenizer
