#include "server/reply_text.h"

#include <fmt/format.h>

#include <cmath>
#include <iterator>
#include <set>

#include "tokenizer/utf8.h"

namespace reprise::server {
namespace {

constexpr char kHex[] = "0123456789abcdef";

std::string token_text(int32_t id, const tokenizer::Tokenizer* tokenizer) {
  return tokenizer == nullptr ? fmt::format("token_id:{}", id) : tokenizer->token_bytes(id);
}

void append_bytes(std::string& to, std::string_view bytes) {
  to.push_back('[');
  for (const char byte : bytes) {
    if (to.back() != '[') to.push_back(',');
    fmt::format_to(std::back_inserter(to), "{}", static_cast<unsigned>(static_cast<unsigned char>(byte)));
  }
  to.push_back(']');
}

void append_token(std::string& to, int32_t id, float logprob, const tokenizer::Tokenizer* tokenizer) {
  const std::string text = token_text(id, tokenizer);
  to.append("{\"token\":");
  append_json_string(to, text);
  to.append(",\"logprob\":");
  append_logprob(to, logprob);
  to.append(",\"bytes\":");
  append_bytes(to, text);
}

// As the completions API names tokens: by their text, or by their bytes where these alone are no text.
std::string token_name(int32_t id, const tokenizer::Tokenizer* tokenizer) {
  std::string text = token_text(id, tokenizer);
  if (tokenizer::is_valid_utf8(text)) return text;
  std::string name = "bytes:";
  for (const char c : text)
    fmt::format_to(std::back_inserter(name), "\\x{:02x}", static_cast<unsigned char>(c));
  return name;
}

// Of several tokens with one name the best counts. The token itself is listed too, as the completions API has it.
void append_tops(std::string& to, const TokenLogprob& token, const tokenizer::Tokenizer* tokenizer) {
  std::set<std::string> listed;
  to.push_back('{');
  const auto append = [&](int32_t id, float logprob) {
    const std::string name = token_name(id, tokenizer);
    if (!listed.insert(name).second) return;
    if (listed.size() > 1) to.push_back(',');
    append_json_string(to, name);
    to.push_back(':');
    append_logprob(to, logprob);
  };
  for (const RankedToken& ranked : token.top) append(ranked.token_id, ranked.logprob);
  append(token.token_id, token.logprob);
  to.push_back('}');
}

}  // namespace

void append_json_string(std::string& to, std::string_view text) {
  to.push_back('"');
  size_t plain = 0;  // begin of what can be copied as it is
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
      ++i;
      continue;
    }
    if (byte >= 0x80) {
      const tokenizer::Utf8Step step = tokenizer::classify_utf8(text, i);
      if (step.kind == tokenizer::Utf8Step::Kind::kCharacter) {
        i += static_cast<size_t>(step.length);
        continue;
      }
      to.append(text.substr(plain, i - plain)).append(tokenizer::kReplacementCharacter);
      plain = i += static_cast<size_t>(step.length);
      continue;
    }
    to.append(text.substr(plain, i - plain));
    if (byte == '"' || byte == '\\')
      to.append({'\\', static_cast<char>(byte)});
    else if (byte == '\n')
      to.append("\\n");
    else if (byte == '\t')
      to.append("\\t");
    else if (byte == '\r')
      to.append("\\r");
    else
      to.append("\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
    plain = ++i;
  }
  to.append(text.substr(plain)).push_back('"');
}

void append_ids(std::string& to, const std::vector<int32_t>& ids) {
  to.push_back('[');
  for (const int32_t id : ids) {
    if (to.back() != '[') to.push_back(',');
    fmt::format_to(std::back_inserter(to), "{}", id);
  }
  to.push_back(']');
}

void append_logprob(std::string& to, float value) {
  if (std::isfinite(value))
    fmt::format_to(std::back_inserter(to), "{:.9g}", value);
  else
    to.append("-9999.0");
}

void append_chat_logprobs(std::string& to, const std::vector<TokenLogprob>& logprobs,
                          const tokenizer::Tokenizer* tokenizer) {
  to.push_back('[');
  for (size_t i = 0; i < logprobs.size(); ++i) {
    const TokenLogprob& token = logprobs[i];
    if (i > 0) to.push_back(',');
    append_token(to, token.token_id, token.logprob, tokenizer);
    to.append(",\"top_logprobs\":[");
    for (size_t k = 0; k < token.top.size(); ++k) {
      if (k > 0) to.push_back(',');
      append_token(to, token.top[k].token_id, token.top[k].logprob, tokenizer);
      to.push_back('}');
    }
    to.append("]}");
  }
  to.push_back(']');
}

void append_completion_logprobs(std::string& to, const std::vector<TokenLogprob>& logprobs,
                                const tokenizer::Tokenizer* tokenizer, int64_t& offset, bool first_unknown) {
  std::string tokens, values, tops, offsets;
  for (const TokenLogprob& token : logprobs) {
    const std::string text = token_text(token.token_id, tokenizer);
    for (std::string* list : {&tokens, &values, &tops, &offsets})
      if (!list->empty()) list->push_back(',');
    append_json_string(tokens, token_name(token.token_id, tokenizer));
    const bool unknown = first_unknown && &token == logprobs.data();
    if (unknown)
      values.append("null");
    else
      append_logprob(values, token.logprob);
    fmt::format_to(std::back_inserter(offsets), "{}", offset);
    for (const char c : text) offset += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    if (unknown) {
      tops.append("null");
      continue;
    }
    append_tops(tops, token, tokenizer);
  }
  to.append("{\"tokens\":[").append(tokens).append("],\"token_logprobs\":[").append(values);
  to.append("],\"top_logprobs\":[").append(tops).append("],\"text_offset\":[").append(offsets).append("]}");
}

}  // namespace reprise::server
