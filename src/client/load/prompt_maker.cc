#include "client/load/prompt_maker.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace reprise::client {
namespace {

constexpr std::string_view kWords[] = {
    "time",   "year",    "people",  "way",    "day",    "man",    "thing",  "woman", "life",  "child",
    "world",  "school",  "state",   "house",  "water",  "night",  "point",  "home",  "room",  "mother",
    "area",   "money",   "story",   "fact",   "month",  "right",  "study",  "book",  "eye",   "job",
    "word",   "side",    "kind",    "head",   "friend", "father", "power",  "hour",  "game",  "line",
    "end",    "city",    "name",    "team",   "car",    "door",   "tree",   "bird",  "river", "table",
    "garden", "letter",  "summer",  "winter", "window", "street", "music",  "paper", "horse", "light",
    "big",    "small",   "old",     "young",  "long",   "high",   "little", "great", "new",   "good",
    "happy",  "quiet",   "went",    "said",   "made",   "took",   "found",  "saw",   "came",  "gave",
    "knew",   "asked",   "told",    "felt",   "with",   "from",   "about",  "under", "over",  "after",
    "before", "between", "through", "again",  "never",  "always"};
// Short words, of which one is a token of its own in most vocabularies.
constexpr std::string_view kFillers[] = {" a", " I", " the", " to", ".", ","};
constexpr int kTries = 8;

}  // namespace

std::string PromptMaker::words(int64_t count) {
  std::string text;
  for (int64_t i = 0; i < count; ++i) text.append(" ").append(kWords[random_.below(std::size(kWords))]);
  return text;
}

void PromptMaker::share_prefix(int64_t tokens) {
  if (tokens == 0) return;
  prefix_tokens_ = tokens;
  if (!counter_) {
    prefix_ = words(std::max<int64_t>(1, std::llround(static_cast<double>(tokens) / line_.of_word)));
    return;
  }
  std::vector<int32_t> ids = counter_->tokens(words(tokens));
  ids.resize(std::min(ids.size(), static_cast<size_t>(tokens)));
  prefix_ = counter_->text(ids);
}

std::string PromptMaker::make(int64_t tokens) {
  if (counter_) return fit(prefix_, tokens);
  const double left = static_cast<double>(tokens - prefix_tokens_) - line_.of_empty;
  return prefix_ + words(std::max<int64_t>(1, std::llround(left / line_.of_word)));
}

std::string PromptMaker::fit(const std::string& prefix, int64_t tokens) {
  const int64_t before = counter_->count(prefix);
  if (before >= tokens)
    throw Error(
        "[--input-tokens] is {}, expected at least {}: what every prompt has before its own words (special tokens, chat "
        "template, [--shared-prefix-tokens]) has {}",
        tokens, before + 1, before);
  const std::vector<int32_t> ids = counter_->tokens(words(tokens - before));
  int64_t cut = std::min<int64_t>(tokens - before, static_cast<int64_t>(ids.size()));
  std::string nearest;
  int64_t least_off = INT64_MAX;
  for (int i = 0; i < kTries && cut >= 0; ++i) {
    std::string text = cut == 0 ? "" : counter_->text({ids.begin(), ids.begin() + cut});
    if (!text.empty() && !text.starts_with(' ')) text.insert(0, " ");
    text.insert(0, prefix);
    int64_t count = text.empty() ? before : counter_->count(text);
    const int64_t missing = tokens - count;
    // What is cut within a word may become other tokens: a few whole ones make up for it.
    for (size_t f = 0; count < tokens && missing <= kTries && f < std::size(kFillers); ++f) {
      std::string filled = text;
      for (int64_t k = 0; k < missing; ++k) filled += kFillers[f];
      if (const int64_t of_filled = counter_->count(filled); of_filled == tokens) return filled;
    }
    if (count == tokens) return text;
    if (std::abs(missing) < least_off) {
      least_off = std::abs(missing);
      nearest = std::move(text);
    }
    cut -= count > tokens ? count - tokens : 1;
  }
  ++inexact_;
  return nearest;
}

}  // namespace reprise::client
