// Pre-tokenizers: cut a normalized text into the pieces ("words") that the model encodes one by one.
//
// They form a chain: each passes its pieces to the next as it finds them, through a sink. No list of pieces
// is kept in between, so memory does not grow with the text.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/pattern.h"

namespace reprise::tokenizer {

struct TextPiece {
  std::string_view text;  // valid UTF-8, not empty; lives as long as the call it is passed to
  bool at_start;          // is at the start of the whole input (Metaspace, prepend_scheme "first")
};
using PieceSink = FunctionRef<void(TextPiece)>;

// Immutable, safe for many threads.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(TextPiece piece, PieceSink sink) const = 0;
  // True when some of the text may be left out of the pieces.
  virtual bool removes_text() const { return false; }
};
using PreTokenizerPtr = std::unique_ptr<const PreTokenizer>;

enum class PrependScheme { kAlways, kFirst, kNever };

PreTokenizerPtr make_split(Pattern pattern, SplitBehavior behavior, bool invert);
PreTokenizerPtr make_metaspace(std::string replacement, PrependScheme scheme, bool split);
// Whitespace: words and runs of other visible characters, as the regular expression \w+|[^\w\s]+.
PreTokenizerPtr make_whitespace_words();
// The parts of ByteLevel: a space before a text that has none; the mapping to the printable alphabet.
PreTokenizerPtr make_prefix_space();
PreTokenizerPtr make_byte_level_map();

// GPT-2's pattern, which ByteLevel uses.
extern const char* const kGpt2Pattern;

// Runs piece through steps[from..] into the sink.
void run_pre_tokenizers(const std::vector<PreTokenizerPtr>& steps, size_t from, TextPiece piece,
                        PieceSink sink);

}  // namespace reprise::tokenizer
