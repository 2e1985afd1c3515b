#include "tokenizer/jinja/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include <algorithm>
#include <iterator>

namespace reprise::tokenizer::jinja {
namespace {

struct PointRange {
  char32_t first, last;
};

#include "tokenizer/jinja/unicode_tables.inc"

template <size_t N>
bool in_ranges(const PointRange (&ranges)[N], char32_t point) {
  const PointRange* it =
      std::upper_bound(std::begin(ranges), std::end(ranges), point,
                       [](char32_t p, const PointRange& range) { return p < range.first; });
  return it != std::begin(ranges) && point <= std::prev(it)->last;
}

utf8proc_category_t category(char32_t point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(point));
}

bool is_titlecase(char32_t point) {
  return category(point) == UTF8PROC_CATEGORY_LT;
}

bool is_cased(char32_t point) {
  return is_lower(point) || is_upper(point) || is_titlecase(point);
}

// Unicode's full case folding: up to three characters.
struct Folding {
  explicit Folding(char32_t point) {
    int last_boundclass = 0;
    count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point), points, std::size(points),
                                    UTF8PROC_CASEFOLD, &last_boundclass);
  }
  utf8proc_int32_t points[4];
  utf8proc_ssize_t count;
};

void append_simple(std::string& out, char32_t point, utf8proc_int32_t (*map)(utf8proc_int32_t)) {
  append_utf8(out, static_cast<char32_t>(map(static_cast<utf8proc_int32_t>(point))));
}

// utf8proc maps one character to one. Where Unicode maps it to several (the German sharp s to SS, ligatures,
// Greek with iota), these are the upper case of its folding; tried for every character against Python.
void append_upper(std::string& out, char32_t point) {
  if (point < 0x80) return append_simple(out, point, utf8proc_toupper);
  Folding folding(point);
  if (folding.count <= 1 || category(point) == UTF8PROC_CATEGORY_LU)
    return append_simple(out, point, utf8proc_toupper);
  for (utf8proc_ssize_t i = 0; i < folding.count; ++i)
    append_simple(out, static_cast<char32_t>(folding.points[i]), utf8proc_toupper);
}

// The same with only the first character in upper case; an iota behind it becomes a mark below.
void append_title(std::string& out, char32_t point) {
  constexpr char32_t kApostropheN = 0x149, kIota = 0x3B9, kIotaBelow = 0x345;
  if (point == kApostropheN) return append_upper(out, point);
  Folding folding(point);
  auto title = static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(point)));
  if (folding.count <= 1 || category(point) == UTF8PROC_CATEGORY_LU || is_titlecase(title))
    return append_utf8(out, title);
  append_simple(out, static_cast<char32_t>(folding.points[0]), utf8proc_toupper);
  for (utf8proc_ssize_t i = 1; i < folding.count; ++i) {
    auto next = static_cast<char32_t>(folding.points[i]);
    append_utf8(out, next == kIota ? kIotaBelow : next);
  }
}

// Unicode's Case_Ignorable: what Final_Sigma looks through.
bool is_case_ignorable(char32_t point) {
  switch (category(point)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      constexpr std::u32string_view kInsideWords =
          U"'.:\u00B7\u0387\u055F\u05F4\u2018\u2019\u2024\u2027\uFE13\uFE52\uFE55\uFF07\uFF0E\uFF1A";
      return kInsideWords.find(point) != std::u32string_view::npos;
  }
}

// Final_Sigma: a cased letter before and none after, case-ignorable characters skipped.
bool is_final_sigma(std::u32string_view points, size_t at) {
  size_t before = at;
  while (before > 0 && is_case_ignorable(points[before - 1])) --before;
  if (before == 0 || !is_cased(points[before - 1])) return false;
  size_t after = at + 1;
  while (after < points.size() && is_case_ignorable(points[after])) ++after;
  return after == points.size() || !is_cased(points[after]);
}

void append_lower(std::string& out, std::u32string_view points, size_t at) {
  constexpr char32_t kSigma = 0x3A3, kDottedI = 0x130;
  if (points[at] == kSigma)
    append_utf8(out, is_final_sigma(points, at) ? 0x3C2 : 0x3C3);
  else if (points[at] == kDottedI)  // the one letter whose lower case is two characters
    out += "i\xCC\x87";
  else
    append_simple(out, points[at], utf8proc_tolower);
}

bool all_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; });
}

// Whether some letter passes `wanted`, and none is cased otherwise.
bool all_cased(std::string_view text, bool (*wanted)(char32_t)) {
  bool found = false;
  for (size_t i = 0; i < text.size();) {
    char32_t point = decode_point(text, i);
    if (wanted(point))
      found = true;
    else if (is_cased(point))
      return false;
  }
  return found;
}

}  // namespace

size_t count_points(std::string_view text) {
  size_t count = 0;
  for (char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return count;
}

size_t byte_offset(std::string_view text, size_t index) {
  size_t position = 0;
  for (; index > 0 && position < text.size(); --index) decode_point(text, position);
  return position;
}

size_t find_text(std::string_view text, std::string_view pattern, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (pattern.empty()) return from;
  // memmem works in linear time, which string_view::find does not promise.
  const void* hit = memmem(text.data() + from, text.size() - from, pattern.data(), pattern.size());
  return hit ? static_cast<size_t>(static_cast<const char*>(hit) - text.data()) : std::string_view::npos;
}

size_t rfind_text(std::string_view text, std::string_view pattern) {
  if (pattern.size() > text.size()) return std::string_view::npos;
  if (pattern.size() <= 8) return text.rfind(pattern);
  std::string reversed_text(text.rbegin(), text.rend());
  std::string reversed_pattern(pattern.rbegin(), pattern.rend());
  size_t hit = find_text(reversed_text, reversed_pattern);
  return hit == std::string_view::npos ? hit : text.size() - hit - pattern.size();
}

bool is_space(char32_t point) {
  return is_whitespace(point) || (point >= 0x1C && point <= 0x1F);
}

bool is_line_break(char32_t point) {
  return (point >= 0xA && point <= 0xD) || (point >= 0x1C && point <= 0x1E) || point == 0x85 ||
         point == 0x2028 || point == 0x2029;
}

bool is_alpha(char32_t point) {
  utf8proc_category_t c = category(point);
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}
bool is_digit(char32_t point) {
  return category(point) == UTF8PROC_CATEGORY_ND || in_ranges(kDigit, point);
}
bool is_numeric_point(char32_t point) {
  return is_numeric(point) || in_ranges(kNumeric, point);
}
bool is_alnum(char32_t point) {
  return is_alpha(point) || is_numeric_point(point);
}
bool is_lower(char32_t point) {
  return category(point) == UTF8PROC_CATEGORY_LL || in_ranges(kOtherLower, point);
}
bool is_upper(char32_t point) {
  return category(point) == UTF8PROC_CATEGORY_LU || in_ranges(kOtherUpper, point);
}

bool is_printable(char32_t point) {
  utf8proc_category_t c = category(point);
  return point == ' ' || (c != UTF8PROC_CATEGORY_CN && c < UTF8PROC_CATEGORY_ZS);
}

bool is_lower_text(std::string_view text) {
  return all_cased(text, is_lower);
}
bool is_upper_text(std::string_view text) {
  return all_cased(text, is_upper);
}

MarkedText change_case(MarkedView marked, Case wanted) {
  std::string_view text = marked.text();
  MarkedText out;
  if (all_ascii(text) && (wanted == Case::kUpper || wanted == Case::kLower)) {
    char from = wanted == Case::kUpper ? 'a' : 'A';
    out.append(marked);
    for (char& c : out.text) c = c >= from && c < from + 26 ? static_cast<char>(c ^ 0x20) : c;
    return out;
  }
  std::u32string points;
  points.reserve(text.size());
  for (size_t i = 0; i < text.size();) points.push_back(decode_point(text, i));
  Marks marks;  // of `text`
  marked.each_mark([&](size_t begin, size_t end) { marks.push_back({begin, end}); });
  size_t next_mark = 0, at = 0;
  bool inside_word = false;
  for (size_t i = 0; i < points.size(); ++i) {
    size_t begin = out.text.size();
    if (wanted == Case::kUpper)
      append_upper(out.text, points[i]);
    else if ((wanted == Case::kTitle && !inside_word) || (wanted == Case::kCapitalized && i == 0))
      append_title(out.text, points[i]);
    else
      append_lower(out.text, points, i);
    if (wanted == Case::kTitle) inside_word = is_cased(points[i]);
    while (next_mark < marks.size() && marks[next_mark].end <= at) ++next_mark;
    if (next_mark < marks.size() && marks[next_mark].begin <= at) add_mark(out.marks, begin, out.text.size());
    decode_point(text, at);
  }
  return out;
}

}  // namespace reprise::tokenizer::jinja
