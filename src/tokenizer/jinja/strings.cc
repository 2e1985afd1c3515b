#include "tokenizer/jinja/strings.h"

#include <algorithm>

namespace reprise::tokenizer::jinja {

std::string_view strip(std::string_view text, const std::string* chars, bool left, bool right) {
  std::u32string set;
  for (size_t i = 0; chars && i < chars->size();) set.push_back(decode_point(*chars, i));
  std::sort(set.begin(), set.end());
  auto stripped = [&](char32_t point) {
    return chars ? std::binary_search(set.begin(), set.end(), point) : is_space(point);
  };
  size_t begin = 0, end = text.size();
  while (left && begin < end) {
    size_t next = begin;
    if (!stripped(decode_point(text, next))) break;
    begin = next;
  }
  while (right && end > begin) {
    Character last = last_character(text.substr(begin, end - begin));
    if (!stripped(last.code)) break;
    end -= static_cast<size_t>(last.length);
  }
  return text.substr(begin, end - begin);
}

std::vector<std::string_view> split(Runtime& runtime, std::string_view text, const std::string* separator,
                                    int64_t limit) {
  std::vector<std::string_view> parts;
  runtime.step_bytes(text.size());
  size_t begin = 0;
  if (separator) {
    for (; limit > 0; --limit) {
      size_t hit = find_text(text, *separator, begin);
      if (hit == std::string_view::npos) break;
      runtime.step();
      parts.push_back(text.substr(begin, hit - begin));
      begin = hit + separator->size();
    }
    parts.push_back(text.substr(begin));
    return parts;
  }
  for (std::string_view rest = strip(text, nullptr, true, false); !rest.empty();
       rest = strip(rest, nullptr, true, false)) {
    runtime.step();
    if (limit-- <= 0) {
      parts.push_back(rest);
      break;
    }
    size_t end = 0;
    for (size_t next = 0; next < rest.size() && !is_space(decode_point(rest, next));) end = next;
    parts.push_back(rest.substr(0, end));
    rest.remove_prefix(end);
  }
  return parts;
}

std::vector<std::string_view> rsplit(Runtime& runtime, std::string_view text, const std::string* separator,
                                     int64_t limit) {
  std::vector<std::string_view> parts;
  runtime.step_bytes(text.size());
  if (separator) {
    for (; limit > 0; --limit) {
      size_t hit = rfind_text(text, *separator);
      if (hit == std::string_view::npos) break;
      runtime.step_bytes(separator->size() > 8 ? text.size() : 1);
      parts.push_back(text.substr(hit + separator->size()));
      text = text.substr(0, hit);
    }
    parts.push_back(text);
  } else {
    for (text = strip(text, nullptr, false, true); !text.empty(); text = strip(text, nullptr, false, true)) {
      runtime.step();
      if (limit-- <= 0) {
        parts.push_back(text);
        break;
      }
      size_t begin = text.size();
      while (begin > 0) {
        Character last = last_character(text.substr(0, begin));
        if (is_space(last.code)) break;
        begin -= static_cast<size_t>(last.length);
      }
      parts.push_back(text.substr(begin));
      text = text.substr(0, begin);
    }
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(Runtime& runtime, std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  runtime.step_bytes(text.size());
  for (size_t begin = 0, i = 0; begin < text.size();) {
    size_t end = text.size();
    size_t next = end;
    while (i < text.size()) {
      size_t at = i;
      char32_t point = decode_point(text, i);
      if (!is_line_break(point)) continue;
      if (point == '\r' && i < text.size() && text[i] == '\n') ++i;
      end = at;
      next = i;
      break;
    }
    runtime.step();
    lines.push_back(text.substr(begin, (keep_ends ? next : end) - begin));
    begin = i = next;
  }
  return lines;
}

Value stripped(Runtime& runtime, const Value& text, const Value& chars, bool left, bool right) {
  const std::string* set = chars.is_string() ? &chars.text() : nullptr;
  runtime.step_bytes(text.text().size() + (set ? 4 * set->size() : 0));
  std::string_view rest = strip(text.text(), set, left, right);
  return rest.size() == text.text().size() ? text : runtime.substring(text.marked().part(rest));
}

Value replace(Runtime& runtime, MarkedView marked, std::string_view old, MarkedView with, int64_t limit) {
  std::string_view text = marked.text();
  TextBuilder out(runtime);
  runtime.step_bytes(text.size());
  if (limit < 0) limit = INT64_MAX;
  size_t begin = 0;
  if (old.empty()) {
    // An empty pattern stands before every character and at the end.
    for (; limit > 0; --limit) {
      out.append(with);
      if (begin >= text.size()) break;
      size_t next = begin;
      decode_point(text, next);
      out.append(marked.substr(begin, next - begin));
      begin = next;
    }
  } else {
    for (; limit > 0; --limit) {
      size_t hit = find_text(text, old, begin);
      if (hit == std::string_view::npos) break;
      runtime.step();
      out.append(marked.substr(begin, hit - begin));
      out.append(with);
      begin = hit + old.size();
    }
  }
  out.append(marked.substr(std::min(begin, text.size())));
  return runtime.string(out.take());
}

Value cased(Runtime& runtime, const Value& text, Case wanted) {
  runtime.step(1 + text.text().size() / 16);
  runtime.reserve(6 * text.text().size());
  return runtime.string(change_case(text.marked(), wanted));
}

}  // namespace reprise::tokenizer::jinja
