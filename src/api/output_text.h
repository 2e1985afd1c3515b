// The text of one output as its tokens arrive: decoded, cut at stop strings, never half a character.
//
// Stop strings are looked for in what the model said, special tokens included. What is shown may leave those
// out (skip_special_tokens), so both texts are decoded side by side, and a place in the one is found in the
// other by the piece that each token added.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "api/stop_strings.h"
#include "tokenizer/streaming_decoder.h"

namespace reprise::api {

struct OutputTextOptions {
  bool skip_special_tokens = true;
  std::shared_ptr<const StopSet> stop = {};  // null: none
  bool include_stop = false;                 // a found stop string stays in the text
  // A stop string counts when a token after the first `min_tokens` completes it.
  int min_tokens = 0;
};

// One output, one thread. All strings that push() and finish() return, put together, are the output's text;
// no text is given out that a stop string found later would cut off.
class OutputText {
 public:
  // `tokenizer` must outlive this; null: every text is empty.
  OutputText(const tokenizer::Tokenizer* tokenizer, OutputTextOptions options);

  // More text that is certain to be shown. After a stop string nothing more comes.
  std::string push(int32_t token_id);
  // The rest of the text, at the end of the output. May find a stop string in the last characters.
  std::string finish();
  // A stop string was found: what follows does not belong to the output.
  bool stopped() const { return stopped_; }
  // That string, empty where none was; valid as long as the StopSet.
  std::string_view stopped_by() const { return stopped_by_; }

 private:
  // What a token added to both texts: [begin, end) in bytes.
  struct Piece {
    size_t said_begin, said_end, shown_begin, shown_end;
    size_t same_begin, same_end;  // bytes at the beginning and at the end that both have in common
  };

  std::string take(std::string_view said, std::string_view shown);
  size_t shown_at(size_t said) const;
  std::string release(size_t shown_end);

  OutputTextOptions options_;
  std::optional<tokenizer::StreamingDecoder> shown_decoder_;
  std::optional<tokenizer::StreamingDecoder> said_decoder_;  // only where it says something else
  std::optional<StopFinder> finder_;
  bool stopped_ = false;
  std::string_view stopped_by_;
  int tokens_ = 0;
  size_t said_ = 0;   // bytes said so far
  size_t shown_ = 0;  // bytes to show so far, held ones included
  std::string held_;  // the last of them, not given out; from held_[held_from_]
  size_t held_from_ = 0;
  std::deque<Piece> pieces_;  // those that a stop string may still begin in
};

}  // namespace reprise::api
