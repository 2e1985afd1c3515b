#include "tokenizer/pretokenizer.h"

#include "tokenizer/byte_level.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

const char* const kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

class Split final : public PreTokenizer {
 public:
  Split(Pattern pattern, SplitBehavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  bool removes_text() const override { return behavior_ == SplitBehavior::kRemoved; }
  void split(TextPiece piece, PieceSink sink) const override {
    split_text(piece.text, pattern_, behavior_, invert_, [&](size_t begin, size_t end) {
      sink({piece.text.substr(begin, end - begin), piece.at_start && begin == 0});
    });
  }

 private:
  Pattern pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)),
        space_(Pattern::literal(" ", "Metaspace")),
        delimiter_(Pattern::literal(replacement_, "Metaspace")),
        scheme_(scheme),
        split_(split) {}
  void split(TextPiece piece, PieceSink sink) const override {
    std::string text = space_.replace_all(piece.text, replacement_);
    const bool wanted =
        scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && piece.at_start);
    if (wanted && !text.starts_with(replacement_)) text.insert(0, replacement_);
    if (!split_) {
      sink({text, piece.at_start});
      return;
    }
    split_text(text, delimiter_, SplitBehavior::kMergedWithNext, false, [&](size_t begin, size_t end) {
      sink({std::string_view(text).substr(begin, end - begin), piece.at_start && begin == 0});
    });
  }

 private:
  std::string replacement_;
  Pattern space_;
  Pattern delimiter_;
  PrependScheme scheme_;
  bool split_;
};

class WhitespaceWords final : public PreTokenizer {
 public:
  bool removes_text() const override { return true; }
  void split(TextPiece piece, PieceSink sink) const override {
    const std::string_view text = piece.text;
    Kind kind = Kind::kSpace;
    size_t begin = 0;
    for (size_t at = 0; at <= text.size();) {
      const Character character = at < text.size() ? character_at(text, at) : Character{U' ', 1};
      const Kind next = kind_of(character.code);
      if (next != kind) {
        if (kind != Kind::kSpace) sink({text.substr(begin, at - begin), piece.at_start && begin == 0});
        kind = next;
        begin = at;
      }
      at += character.length;
    }
  }

 private:
  enum class Kind { kSpace, kWord, kOther };
  static Kind kind_of(char32_t code) {
    return is_word(code) ? Kind::kWord : is_whitespace(code) ? Kind::kSpace : Kind::kOther;
  }
};

class PrefixSpace final : public PreTokenizer {
 public:
  void split(TextPiece piece, PieceSink sink) const override {
    if (piece.text.starts_with(' ')) return sink(piece);
    std::string text = " ";
    text += piece.text;
    sink({text, piece.at_start});
  }
};

class ByteLevelMap final : public PreTokenizer {
 public:
  void split(TextPiece piece, PieceSink sink) const override {
    const std::string text = to_byte_level(piece.text);
    sink({text, piece.at_start});
  }
};

}  // namespace

PreTokenizerPtr make_split(Pattern pattern, SplitBehavior behavior, bool invert) {
  return std::make_unique<Split>(std::move(pattern), behavior, invert);
}
PreTokenizerPtr make_metaspace(std::string replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}
PreTokenizerPtr make_whitespace_words() {
  return std::make_unique<WhitespaceWords>();
}
PreTokenizerPtr make_prefix_space() {
  return std::make_unique<PrefixSpace>();
}
PreTokenizerPtr make_byte_level_map() {
  return std::make_unique<ByteLevelMap>();
}

void run_pre_tokenizers(const std::vector<PreTokenizerPtr>& steps, size_t from, TextPiece piece,
                        PieceSink sink) {
  if (from == steps.size()) return sink(piece);
  steps[from]->split(piece, [&](TextPiece part) { run_pre_tokenizers(steps, from + 1, part, sink); });
}

}  // namespace reprise::tokenizer
