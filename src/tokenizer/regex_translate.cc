// Oniguruma's pattern language in PCRE2's. Both descend from Perl's; only what differs is rewritten.
#include <algorithm>
#include <array>
#include <cctype>

#include "core/error.h"
#include "tokenizer/regex.h"

namespace reprise::tokenizer {
namespace {

// Class members as Oniguruma defines them for UTF-8 (checked code point by code point). PCRE2's \s has U+180E
// too, its \w lacks marks and other connectors.
constexpr std::string_view kSpace = R"(\t-\r\x{85}\p{Z})";
constexpr std::string_view kWord =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\xB2\xB3\xB9\xBC-\xBE\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

struct PropertyName {
  std::string_view oniguruma;
  std::string_view pcre2;
};
// Names longer than a general category's two letters that PCRE2 does not know by the same name; others are
// scripts.
constexpr std::array kProperties = {
    PropertyName{"letter", "L"},
    PropertyName{"mark", "M"},
    PropertyName{"number", "N"},
    PropertyName{"punctuation", "P"},
    PropertyName{"punct", "P"},
    PropertyName{"symbol", "S"},
    PropertyName{"separator", "Z"},
    PropertyName{"other", "C"},
    PropertyName{"digit", "Nd"},
    PropertyName{"decimalnumber", "Nd"},
    PropertyName{"alpha", "Alphabetic"},
    PropertyName{"alphabetic", "Alphabetic"},
    PropertyName{"upper", "Uppercase"},
    PropertyName{"uppercase", "Uppercase"},
    PropertyName{"lower", "Lowercase"},
    PropertyName{"lowercase", "Lowercase"},
    PropertyName{"uppercaseletter", "Lu"},
    PropertyName{"lowercaseletter", "Ll"},
    PropertyName{"titlecaseletter", "Lt"},
    PropertyName{"modifierletter", "Lm"},
    PropertyName{"otherletter", "Lo"},
    PropertyName{"space", "White_Space"},
    PropertyName{"whitespace", "White_Space"},
    PropertyName{"emoji", "Emoji"},
    PropertyName{"extendedpictographic", "Extended_Pictographic"},
    PropertyName{"any", "Any"},
};

// POSIX classes, which stand within brackets.
constexpr std::array kPosixClasses = {
    PropertyName{"alpha", R"(\p{Alphabetic})"},
    PropertyName{"alnum", R"(\p{Alphabetic}\p{Nd})"},
    PropertyName{"digit", R"(\p{Nd})"},
    PropertyName{"lower", R"(\p{Lowercase})"},
    PropertyName{"upper", R"(\p{Uppercase})"},
    PropertyName{"punct", R"(\p{P}\p{S})"},
    PropertyName{"space", kSpace},
    PropertyName{"word", R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc})"},
    PropertyName{"xdigit", kHexDigit},
};

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view what) : pattern_(pattern), what_(what) {}

  std::string run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        escape();
      } else if (c == '[' && !in_class_) {
        open_class();
      } else if (c == '[') {
        posix_class();
      } else if (c == ']' && in_class_) {
        in_class_ = false;
        take(1);
      } else if (in_class_ && pattern_.substr(at_, 2) == "&&") {
        refuse("the set operation && within brackets");
      } else if (!in_class_ && pattern_.substr(at_, 2) == "(*") {
        refuse("a verb such as (*NAME)");
      } else {
        take(1);
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view construct) const {
    throw Error("[{}] the pattern \"{}\" uses {}, which is not supported", what_, pattern_.substr(0, 200),
                construct);
  }
  void take(size_t bytes) {
    out_ += pattern_.substr(at_, bytes);
    at_ += std::min(bytes, pattern_.size() - at_);
  }

  void open_class() {
    in_class_ = true;
    take(1);
    if (pattern_.substr(at_, 1) == "^") take(1);
    if (pattern_.substr(at_, 1) == "]") {  // a literal bracket in first place
      out_ += "\\]";
      ++at_;
    }
  }

  void posix_class() {
    const size_t end = pattern_.find(":]", at_);
    if (pattern_.substr(at_, 2) != "[:" || end == std::string_view::npos) refuse("a set within a set");
    const std::string_view name = pattern_.substr(at_ + 2, end - at_ - 2);
    const auto* known = std::find_if(kPosixClasses.begin(), kPosixClasses.end(),
                                     [&](const PropertyName& entry) { return entry.oniguruma == name; });
    if (known == kPosixClasses.end())
      refuse("a POSIX class other than alpha, alnum, digit, lower, punct, space, upper, word or xdigit");
    out_ += known->pcre2;
    at_ = end + 2;
  }

  // A class escape: within brackets its members alone, outside of them a bracket of its own.
  void members(std::string_view list, bool negated) {
    at_ += 2;
    if (in_class_) {
      // PCRE2 cannot subtract within brackets; its own negated classes differ in a few rare characters only.
      if (negated) {
        out_ += list == kSpace ? "\\S" : list == kWord ? "\\W" : "\\H";
      } else {
        out_ += list;
      }
      return;
    }
    out_ += negated ? "[^" : "[";
    out_ += list;
    out_ += ']';
  }

  void escape() {
    if (at_ + 1 >= pattern_.size()) refuse("a lone backslash at its end");
    switch (const char c = pattern_[at_ + 1]) {
      case 's':
      case 'S':
        return members(kSpace, c == 'S');
      case 'w':
      case 'W':
        return members(kWord, c == 'W');
      case 'h':
      case 'H':
        if (in_class_ && c == 'H') refuse("\\H within brackets");
        return members(kHexDigit, c == 'H');
      case 'u': {
        const std::string_view digits = pattern_.substr(at_ + 2, 4);
        if (digits.size() != 4 || !std::all_of(digits.begin(), digits.end(),
                                               [](unsigned char d) { return std::isxdigit(d) != 0; })) {
          refuse("\\u without four hexadecimal digits");
        }
        out_ += "\\x{";
        out_ += digits;
        out_ += '}';
        at_ += 6;
        return;
      }
      case 'Q':
      case 'E':
        refuse("\\Q or \\E");
      case 'p':
      case 'P':
        return property();
      default:
        return take(2);
    }
  }

  void property() {
    const size_t end = pattern_.find('}', at_);
    if (pattern_.substr(at_ + 2, 1) != "{" || end == std::string_view::npos) refuse("\\p without braces");
    std::string_view name = pattern_.substr(at_ + 3, end - at_ - 3);
    bool negated = pattern_[at_ + 1] == 'P';
    if (!name.empty() && name.front() == '^') {
      negated = !negated;
      name.remove_prefix(1);
    }
    std::string plain;
    for (const char c : name) {
      if (c != '_' && c != ' ' && c != '-')
        plain += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    out_ += negated ? "\\P{" : "\\p{";
    const auto* known = std::find_if(kProperties.begin(), kProperties.end(),
                                     [&](const PropertyName& entry) { return entry.oniguruma == plain; });
    if (known != kProperties.end()) {
      out_ += known->pcre2;
    } else if (plain.size() <= 2) {
      out_ += name;
    } else {
      out_ += "sc:";
      out_ += name;
    }
    out_ += '}';
    at_ = end + 1;
  }

  std::string_view pattern_;
  std::string_view what_;
  size_t at_ = 0;
  bool in_class_ = false;
  std::string out_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern, std::string_view what) {
  return Translator(pattern, what).run();
}

}  // namespace reprise::tokenizer
