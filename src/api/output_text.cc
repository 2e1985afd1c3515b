#include "api/output_text.h"

#include <algorithm>
#include <utility>

namespace reprise::api {
namespace {

bool inside_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

}  // namespace

OutputText::OutputText(const tokenizer::Tokenizer* tokenizer, OutputTextOptions options)
    : options_(std::move(options)) {
  if (tokenizer == nullptr) return;
  shown_decoder_.emplace(*tokenizer, options_.skip_special_tokens);
  if (options_.stop == nullptr || options_.stop->empty()) return;
  finder_.emplace(options_.stop);
  if (options_.skip_special_tokens) said_decoder_.emplace(*tokenizer, false);
}

std::string OutputText::push(int32_t token_id) {
  if (!shown_decoder_ || stopped_) return {};
  ++tokens_;
  const std::string shown = shown_decoder_->push(token_id);
  return said_decoder_ ? take(said_decoder_->push(token_id), shown) : take(shown, shown);
}

std::string OutputText::finish() {
  if (!shown_decoder_ || stopped_) return {};
  const std::string shown = shown_decoder_->flush();
  std::string text = said_decoder_ ? take(said_decoder_->flush(), shown) : take(shown, shown);
  return stopped_ ? text : text + release(shown_);
}

// Takes what one token added to both texts; returns what is certain to be shown.
std::string OutputText::take(std::string_view said, std::string_view shown) {
  if (!finder_) return std::string(shown);
  Piece piece{.said_begin = said_,
              .said_end = said_ + said.size(),
              .shown_begin = shown_,
              .shown_end = shown_ + shown.size(),
              .same_begin = 0,
              .same_end = 0};
  const size_t shorter = std::min(said.size(), shown.size());
  while (piece.same_begin < shorter && said[piece.same_begin] == shown[piece.same_begin]) ++piece.same_begin;
  while (piece.same_end < shorter &&
         said[said.size() - piece.same_end - 1] == shown[shown.size() - piece.same_end - 1])
    ++piece.same_end;
  if (!said.empty()) pieces_.push_back(piece);
  said_ = piece.said_end;
  shown_ = piece.shown_end;
  held_ += shown;

  if (const auto match = finder_->read(said, tokens_ > options_.min_tokens)) {
    stopped_ = true;
    stopped_by_ = match->text;
    std::string text = release(shown_at(match->begin));
    if (options_.include_stop) text += match->text;
    held_.clear();
    held_from_ = 0;
    pieces_.clear();
    return text;
  }
  const size_t certain = said_ - finder_->held();
  std::string text = release(shown_at(certain));
  while (!pieces_.empty() && pieces_.front().said_end <= certain) pieces_.pop_front();
  return text;
}

// The place in the text shown that belongs to a place in the text said; never beyond a later one's.
size_t OutputText::shown_at(size_t said) const {
  const auto piece = std::partition_point(
      pieces_.begin(), pieces_.end(), [said](const Piece& candidate) { return candidate.said_end <= said; });
  if (piece == pieces_.end()) return shown_;
  // Where the two pieces differ (a special token that isn't shown, a blank that begins a text), both ends
  // that they have in common keep their places.
  if (piece->said_end - said <= piece->same_end) return piece->shown_end - (piece->said_end - said);
  return std::min(piece->shown_begin + std::min(said - piece->said_begin, piece->same_begin),
                  piece->shown_end - piece->same_end);
}

// Gives out the text to show up to this place, or to the beginning of the character there.
std::string OutputText::release(size_t shown_end) {
  const size_t given = shown_ - (held_.size() - held_from_);
  if (shown_end <= given) return {};
  size_t length = shown_end - given;
  while (length > 0 && held_from_ + length < held_.size() && inside_character(held_[held_from_ + length]))
    --length;
  std::string text = held_.substr(held_from_, length);
  held_from_ += length;
  if (held_from_ * 2 >= held_.size()) {  // moved seldom: linear in the text
    held_.erase(0, held_from_);
    held_from_ = 0;
  }
  return text;
}

}  // namespace reprise::api
