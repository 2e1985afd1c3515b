// Methods of str that change case, pad, or test all characters.
#include "tokenizer/template/methods_string.h"
#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

template <Case wanted>
Value changed(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "str method", arguments, {});
  runtime.step(1 + self.text().size() / 16);
  runtime.reserve(6 * self.text().size());
  return runtime.string(change_case(self.marked(), wanted));
}

// True when the text has characters and all pass.
template <bool (*Test)(char32_t)>
Value all_points(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "str method", arguments, {});
  runtime.step_bytes(self.text().size());
  const std::string& text = self.text();
  for (size_t i = 0; i < text.size();)
    if (!Test(decode_point(text, i))) return Value::boolean(false);
  return Value::boolean(!text.empty());
}

Value isprintable(Runtime& runtime, const Value& self, Arguments& arguments) {
  if (self.text().empty()) return Value::boolean(true);
  return all_points<is_printable>(runtime, self, arguments);
}

Value isascii(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "isascii", arguments, {});
  return Value::boolean(self.string().ascii());
}

Value islower(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "islower", arguments, {});
  runtime.step_bytes(self.text().size());
  return Value::boolean(is_lower_text(self.text()));
}

Value isupper(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "isupper", arguments, {});
  runtime.step_bytes(self.text().size());
  return Value::boolean(is_upper_text(self.text()));
}

Value istitle(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "istitle", arguments, {});
  runtime.step_bytes(self.text().size());
  bool cased = false, inside_word = false;
  const std::string& text = self.text();
  for (size_t i = 0; i < text.size();) {
    char32_t point = decode_point(text, i);
    if (is_upper(point) || is_titlecase(point)) {
      if (inside_word) return Value::boolean(false);
      inside_word = cased = true;
    } else if (is_lower(point)) {
      if (!inside_word) return Value::boolean(false);
      cased = true;
    } else {
      inside_word = false;
    }
  }
  return Value::boolean(cased);
}

Value isidentifier(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound(runtime, "isidentifier", arguments, {});
  runtime.step_bytes(self.text().size());
  const std::string& text = self.text();
  size_t i = 0;
  if (text.empty() || !is_identifier_start(decode_point(text, i))) return Value::boolean(false);
  while (i < text.size())
    if (!is_identifier_part(decode_point(text, i))) return Value::boolean(false);
  return Value::boolean(true);
}

Value padded(Runtime& runtime, const Value& text, size_t before, size_t after, MarkedView fill) {
  TextBuilder out(runtime);
  runtime.reserve(before + after);
  for (size_t i = 0; i < before; ++i) out.append(fill);
  out.append(text.marked());
  for (size_t i = 0; i < after; ++i) out.append(fill);
  return runtime.string(out.take());
}

size_t missing_width(const Value& text, int64_t width) {
  int64_t length = static_cast<int64_t>(text.string().length);
  return width > length ? static_cast<size_t>(width - length) : 0;
}

struct Padding {
  int64_t width;
  Value fill;
};

Padding padding(Runtime& runtime, std::string_view name, const Arguments& arguments) {
  Bound bound(runtime, name, arguments, {"/width", "/fillchar"}, 1);
  if (bound.has(1) && (bound.text(1), bound[1].string().length != 1))
    runtime.fail("The fill character must be exactly one character long");
  return {bound.integer(0, 0), bound.has(1) ? bound[1] : runtime.string(" ")};
}

Value center_method(Runtime& runtime, const Value& self, Arguments& arguments) {
  Padding want = padding(runtime, "center", arguments);
  return center(runtime, self, want.width, want.fill.marked());
}

Value ljust(Runtime& runtime, const Value& self, Arguments& arguments) {
  Padding want = padding(runtime, "ljust", arguments);
  return padded(runtime, self, 0, missing_width(self, want.width), want.fill.marked());
}

Value rjust(Runtime& runtime, const Value& self, Arguments& arguments) {
  Padding want = padding(runtime, "rjust", arguments);
  return padded(runtime, self, missing_width(self, want.width), 0, want.fill.marked());
}

Value zfill(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "zfill", arguments, {"/width"}, 1);
  MarkedView text = self.marked();
  size_t sign = self.text().starts_with('+') || self.text().starts_with('-');  // stays before the zeros
  TextBuilder out(runtime);
  out.append(text.substr(0, sign));
  out.append(missing_width(self, bound.integer(0, 0)), '0');
  out.append(text.substr(sign));
  return runtime.string(out.take());
}

Value expandtabs(Runtime& runtime, const Value& self, Arguments& arguments) {
  Bound bound(runtime, "expandtabs", arguments, {"tabsize"});
  int64_t size = bound.integer(0, 8);
  TextBuilder out(runtime);
  int64_t column = 0;
  for (size_t i = 0; i < self.text().size(); ++i) {
    char c = self.text()[i];
    if (c == '\t') {
      if (size > 0) {
        int64_t fill = size - column % size;
        out.append(static_cast<size_t>(fill), ' ');
        column += fill;
      }
      continue;
    }
    out.append(self.marked().substr(i, 1));
    if (c == '\n' || c == '\r')
      column = 0;
    else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80)
      ++column;
  }
  return runtime.string(out.take());
}

constexpr Method kMethods[] = {{"upper", changed<Case::kUpper>},
                               {"lower", changed<Case::kLower>},
                               {"casefold", changed<Case::kFolded>},
                               {"title", changed<Case::kTitle>},
                               {"capitalize", changed<Case::kCapitalized>},
                               {"swapcase", changed<Case::kSwapped>},
                               {"isalnum", all_points<is_alnum>},
                               {"isalpha", all_points<is_alpha>},
                               {"isdecimal", all_points<is_decimal>},
                               {"isdigit", all_points<is_digit>},
                               {"isnumeric", all_points<is_numeric>},
                               {"isspace", all_points<is_space>},
                               {"isprintable", isprintable},
                               {"isascii", isascii},
                               {"islower", islower},
                               {"isupper", isupper},
                               {"istitle", istitle},
                               {"isidentifier", isidentifier},
                               {"center", center_method},
                               {"ljust", ljust},
                               {"rjust", rjust},
                               {"zfill", zfill},
                               {"expandtabs", expandtabs}};

}  // namespace

Value center(Runtime& runtime, const Value& text, int64_t width, MarkedView fill) {
  size_t missing = missing_width(text, width);
  // CPython puts the odd space left when the width is odd.
  size_t before = missing / 2 + (missing & static_cast<size_t>(width) & 1);
  return padded(runtime, text, before, missing - before, fill);
}

bool is_lower_text(std::string_view text) {
  bool cased = false;
  for (size_t i = 0; i < text.size();) {
    char32_t point = decode_point(text, i);
    if (is_upper(point) || is_titlecase(point)) return false;
    cased = cased || is_lower(point);
  }
  return cased;
}

bool is_upper_text(std::string_view text) {
  bool cased = false;
  for (size_t i = 0; i < text.size();) {
    char32_t point = decode_point(text, i);
    if (is_lower(point) || is_titlecase(point)) return false;
    cased = cased || is_upper(point);
  }
  return cased;
}

std::span<const Method> string_case_methods() {
  return kMethods;
}

}  // namespace reprise::tokenizer::jinja
