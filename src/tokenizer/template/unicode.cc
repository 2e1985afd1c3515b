#include "tokenizer/template/unicode.h"

#include <string.h>
#include <utf8proc.h>

#include <algorithm>
#include <iterator>

namespace reprise::tokenizer::jinja {
namespace {

struct PointRange {
  char32_t first, last;
};

// A mapping to up to three code points, zero-filled.
struct CaseMapping {
  char32_t point;
  char32_t mapped[3];
};

#include "tokenizer/template/unicode_tables.inc"

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

bool is_letter(utf8proc_category_t c) {
  return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}
bool is_mark(utf8proc_category_t c) {
  return c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME;
}
bool is_number(utf8proc_category_t c) {
  return c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO;
}

template <size_t N>
void map_case(std::string& out, char32_t point, const CaseMapping (&table)[N],
              utf8proc_int32_t (*simple)(utf8proc_int32_t)) {
  const CaseMapping* it =
      std::lower_bound(std::begin(table), std::end(table), point,
                       [](const CaseMapping& mapping, char32_t p) { return mapping.point < p; });
  if (it != std::end(table) && it->point == point) {
    for (char32_t mapped : it->mapped)
      if (mapped) append_point(out, mapped);
  } else {
    append_point(out, static_cast<char32_t>(simple(static_cast<utf8proc_int32_t>(point))));
  }
}

void append_upper(std::string& out, char32_t point) {
  map_case(out, point, kUpper, utf8proc_toupper);
}
void append_title(std::string& out, char32_t point) {
  map_case(out, point, kTitle, utf8proc_totitle);
}

// Unicode's Final_Sigma: a cased letter before and none after, case-ignorable characters skipped.
bool is_final_sigma(std::u32string_view points, size_t at) {
  auto ignorable = [](char32_t point) { return in_ranges(kCaseIgnorable, point); };
  size_t before = at;
  while (before > 0 && ignorable(points[before - 1])) --before;
  if (before == 0 || !is_cased(points[before - 1])) return false;
  size_t after = at + 1;
  while (after < points.size() && ignorable(points[after])) ++after;
  return after == points.size() || !is_cased(points[after]);
}

void append_lower(std::string& out, std::u32string_view points, size_t at) {
  constexpr char32_t kSigma = 0x3A3;
  if (points[at] == kSigma)
    append_point(out, is_final_sigma(points, at) ? 0x3C2 : 0x3C3);
  else
    map_case(out, points[at], kLower, utf8proc_tolower);
}

void append_folded(std::string& out, char32_t point) {
  constexpr int kLongest = 4;
  utf8proc_int32_t folded[kLongest];
  int last_boundclass = 0;
  utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(point), folded, kLongest,
                                                   UTF8PROC_CASEFOLD, &last_boundclass);
  for (utf8proc_ssize_t i = 0; i < count; ++i) append_point(out, static_cast<char32_t>(folded[i]));
}

bool all_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x80; });
}

}  // namespace

bool valid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    utf8proc_int32_t point;
    utf8proc_ssize_t length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + i,
                                               static_cast<utf8proc_ssize_t>(text.size() - i), &point);
    if (length <= 0) return false;
    i += static_cast<size_t>(length);
  }
  return true;
}

char32_t decode_point(std::string_view text, size_t& position) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(position);
  size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  length = std::min(length, text.size() - position);
  char32_t point = length == 1 ? lead : lead & (0x7F >> length);
  for (size_t i = 1; i < length; ++i) point = point << 6 | (byte(position + i) & 0x3F);
  position += length;
  return point;
}

size_t encode_point(char32_t point, char* bytes) {
  return static_cast<size_t>(
      utf8proc_encode_char(static_cast<utf8proc_int32_t>(point), reinterpret_cast<utf8proc_uint8_t*>(bytes)));
}

void append_point(std::string& text, char32_t point) {
  char bytes[4];
  text.append(bytes, encode_point(point, bytes));
}

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

std::u32string to_points(std::string_view text) {
  std::u32string points;
  points.reserve(text.size());
  for (size_t i = 0; i < text.size();) points.push_back(decode_point(text, i));
  return points;
}

std::string to_utf8(std::u32string_view points) {
  std::string text;
  text.reserve(points.size());
  for (char32_t point : points) append_point(text, point);
  return text;
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
  return (point >= 0x9 && point <= 0xD) || (point >= 0x1C && point <= 0x20) || point == 0x85 ||
         point == 0xA0 || point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
         point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

bool is_line_break(char32_t point) {
  return (point >= 0xA && point <= 0xD) || (point >= 0x1C && point <= 0x1E) || point == 0x85 ||
         point == 0x2028 || point == 0x2029;
}

bool is_alpha(char32_t point) {
  return is_letter(category(point));
}
bool is_decimal(char32_t point) {
  return category(point) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t point) {
  return is_decimal(point) || in_ranges(kDigit, point);
}
bool is_numeric(char32_t point) {
  return is_number(category(point)) || in_ranges(kNumeric, point);
}
bool is_alnum(char32_t point) {
  return is_alpha(point) || is_numeric(point);
}
bool is_lower(char32_t point) {
  return category(point) == UTF8PROC_CATEGORY_LL || in_ranges(kOtherLower, point);
}
bool is_upper(char32_t point) {
  return category(point) == UTF8PROC_CATEGORY_LU || in_ranges(kOtherUpper, point);
}
bool is_titlecase(char32_t point) {
  return category(point) == UTF8PROC_CATEGORY_LT;
}
bool is_cased(char32_t point) {
  return is_lower(point) || is_upper(point) || is_titlecase(point);
}

bool is_printable(char32_t point) {
  utf8proc_category_t c = category(point);
  return point == ' ' || (c != UTF8PROC_CATEGORY_CN && c < UTF8PROC_CATEGORY_ZS);
}

bool is_identifier_start(char32_t point) {
  return point == '_' || is_alpha(point) || category(point) == UTF8PROC_CATEGORY_NL;
}

bool is_identifier_part(char32_t point) {
  utf8proc_category_t c = category(point);
  return is_identifier_start(point) || c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_PC ||
         (is_mark(c) && c != UTF8PROC_CATEGORY_ME);
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
  std::u32string points = to_points(text);
  Marks marks;  // of `text`
  marked.each_mark([&](size_t begin, size_t end) { marks.push_back({begin, end}); });
  size_t next_mark = 0, at = 0;
  bool inside_word = false;
  for (size_t i = 0; i < points.size(); ++i) {
    char32_t point = points[i];
    size_t begin = out.text.size();
    if (wanted == Case::kFolded)
      append_folded(out.text, point);
    else if (wanted == Case::kUpper || (wanted == Case::kSwapped && is_lower(point)))
      append_upper(out.text, point);
    else if (wanted == Case::kSwapped && !is_upper(point))
      append_point(out.text, point);
    else if ((wanted == Case::kTitle && !inside_word) || (wanted == Case::kCapitalized && i == 0))
      append_title(out.text, point);
    else
      append_lower(out.text, points, i);
    if (wanted == Case::kTitle) inside_word = is_cased(point);
    while (next_mark < marks.size() && marks[next_mark].end <= at) ++next_mark;
    if (next_mark < marks.size() && marks[next_mark].begin <= at) add_mark(out.marks, begin, out.text.size());
    decode_point(text, at);
  }
  return out;
}

}  // namespace reprise::tokenizer::jinja
