#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

bool starts_with_word(std::string_view text) {
  return !text.empty() && is_word(character_at(text, 0).code);
}
bool ends_with_word(std::string_view text) {
  return !text.empty() && is_word(last_character(text).code);
}

size_t leading_blanks(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Character character = character_at(text, at);
    if (!is_whitespace(character.code)) break;
    at += character.length;
  }
  return at;
}

size_t without_trailing_blanks(std::string_view text) {
  while (!text.empty()) {
    const Character character = last_character(text);
    if (!is_whitespace(character.code)) break;
    text.remove_suffix(character.length);
  }
  return text.size();
}

}  // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer* normalizer)
    : tokens_(std::move(tokens)) {
  std::vector<std::pair<std::string, int32_t>> raw, normalized;
  // Of two tokens that normalize to the same text the library's matcher takes the first, special ones before
  // others; the trie keeps the last.
  for (const bool special : {false, true}) {
    for (size_t k = tokens_.size(); k-- > 0;) {
      AddedToken& token = tokens_[k];
      if (token.special != special) continue;
      by_id_.insert_or_assign(token.id, k);
      by_content_.insert_or_assign(token.content, k);
      token.text = token.content;
      swallows_blanks_ |= token.lstrip || token.rstrip;
      longest_ = std::max(longest_, token.content.size());
      if (!token.normalized) {
        raw.emplace_back(token.content, token.id);
        continue;
      }
      has_normalized_special_ |= token.special;
      NormalizedText text{token.content, true};
      if (normalizer != nullptr) normalizer->normalize(text);
      token.text = text.text;
      longest_ = std::max(longest_, token.text.size());
      normalized.emplace_back(std::move(text.text), token.id);
    }
  }
  raw_ = ByteTrie(std::move(raw));
  normalized_ = ByteTrie(std::move(normalized));
}

const AddedToken* AddedTokens::find(int32_t id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &tokens_[found->second];
}

const AddedToken* AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &tokens_[found->second];
}

bool AddedTokens::is_special(int32_t id) const {
  const AddedToken* token = find(id);
  return token != nullptr && token->special;
}

void AddedTokens::split(std::string_view text, const ByteTrie& trie, const PlainRanges& plain,
                        FunctionRef<void(Part)> visit) const {
  size_t blanks_end = 0;  // where the run of blanks ends that was swallowed last
  size_t done = 0;        // everything in front of it has been visited
  for (size_t at = 0; at < text.size() && !trie.empty();) {
    if (!trie.may_start_with(static_cast<unsigned char>(text[at]))) {
      ++at;
      continue;
    }
    size_t length = 0;
    int32_t id = kNoToken;
    trie.for_each_prefix(text.substr(at), [&](size_t longer, int32_t value) {
      if (!plain.empty() && plain.overlap(at, at + longer) && is_special(value)) return;
      length = longer;
      id = value;
    });
    if (length == 0) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + length;
    at = end;
    const AddedToken& token = *find(id);
    if (token.single_word && (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end))))
      continue;
    // What an earlier token has swallowed stays with it. No blank is looked at twice, or blanks in a row that
    // are tokens themselves would cost a square of their number.
    if (token.lstrip && begin > done) begin = done + without_trailing_blanks(text.substr(done, begin - done));
    if (token.rstrip) {
      if (end >= blanks_end) blanks_end = end + leading_blanks(text.substr(end));
      end = blanks_end;
    }
    if (done < begin) visit({kNoToken, done, begin});
    visit({id, begin, end});
    done = end;
  }
  if (done < text.size()) visit({kNoToken, done, text.size()});
}

}  // namespace reprise::tokenizer
