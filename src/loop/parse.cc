#include <bit>
#include <charconv>
#include <optional>

#include "core/error.h"
#include "loop/text.h"

namespace reprise::loop {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Program run() {
    next_line();
    expect_word("loop");
    program_.name = word("a name");
    expect_word("columns");
    program_.columns = integer<int64_t>(word("a number"), 10);
    end_of_line();
    while (next_line()) {
      if (line_ == "lanes" || line_ == "numbers")
        open_section(line_ == "lanes");
      else if (program_.sections.empty())
        parse_operand();
      else
        parse_instruction();
    }
    close_section();
    verify(program_);
    return std::move(program_);
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> what, Args&&... args) const {
    throw Error("[loop] line {}: {}", number_, fmt::format(what, std::forward<Args>(args)...));
  }

  bool next_line() {
    if (text_.empty()) return false;
    const size_t end = text_.find('\n');
    line_ = text_.substr(0, end);
    text_.remove_prefix(end == std::string_view::npos ? text_.size() : end + 1);
    ++number_;
    return true;
  }

  // Words are divided by one blank.
  std::string_view word(std::string_view what) {
    const size_t end = line_.find(' ');
    const std::string_view found = line_.substr(0, end);
    if (found.empty()) fail("expected {}", what);
    line_.remove_prefix(end == std::string_view::npos ? line_.size() : end + 1);
    return found;
  }
  void expect_word(std::string_view what) {
    if (const std::string_view found = word(what); found != what)
      fail("expected '{}', got '{}'", what, found);
  }
  void end_of_line() const {
    if (!line_.empty()) fail("'{}' is too much", line_);
  }
  template <typename T>
  T integer(std::string_view digits, int base) const {
    T value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (error != std::errc{} || end != digits.data() + digits.size()) fail("'{}' is no number", digits);
    return value;
  }
  int32_t value_id() {
    const std::string_view text = word("a value");
    if (text.front() != '%') fail("expected a value as %3, got '{}'", text);
    return integer<int32_t>(text.substr(1), 10);
  }

  void open_section(bool lanes) {
    close_section();
    const auto at = static_cast<int32_t>(program_.instructions.size());
    program_.sections.push_back({lanes, at, at});
  }
  void close_section() {
    if (!program_.sections.empty())
      program_.sections.back().end = static_cast<int32_t>(program_.instructions.size());
  }

  DType dtype() {
    const std::string_view name = word("a dtype");
    const std::optional<DType> found = parse_dtype(name);
    if (!found) fail("there is no dtype '{}'", name);
    return *found;
  }

  void parse_operand() {
    Operand operand{.name = std::string(word("an operand"))};
    operand.dtype = dtype();
    const std::string_view place = word("row, column or local");
    if (place == "row")
      operand.place = Place::row;
    else if (place == "column")
      operand.place = Place::column;
    else if (place == "local")
      operand.place = Place::local;
    else
      fail("expected row, column or local, got '{}'", place);
    operand.written = line_ == "written";
    if (operand.written) line_ = {};
    end_of_line();
    program_.operands.push_back(std::move(operand));
  }

  Code code_named(std::string_view name) const {
    for (int i = 0; i <= static_cast<int>(Code::largest); ++i)
      if (info_of(static_cast<Code>(i)).name == name) return static_cast<Code>(i);
    fail("there is no operation '{}'", name);
  }

  void parse_instruction() {
    if (program_.instructions.size() >= static_cast<size_t>(kMaxInstructions))
      fail("more than {} instructions", kMaxInstructions);
    Instruction instruction;
    const bool has_value = line_.starts_with('%');
    if (has_value) {
      if (value_id() != static_cast<int32_t>(program_.instructions.size()))
        fail("expected %{}", program_.instructions.size());
      expect_word("=");
    }
    instruction.code = code_named(word("an operation"));
    if (has_value == (instruction.code == Code::store)) fail("a store has no value; all others have one");
    if (instruction.code == Code::load || instruction.code == Code::store) {
      const std::string_view name = word("an operand");
      for (size_t i = 0; i < program_.operands.size(); ++i)
        if (program_.operands[i].name == name) instruction.operand = static_cast<int32_t>(i);
      if (instruction.operand < 0) fail("there is no operand '{}'", name);
    }
    for (int i = 0; i < info_of(instruction.code).args; ++i)
      instruction.args[static_cast<size_t>(i)] = value_id();
    if (instruction.code == Code::constant)
      instruction.number = std::bit_cast<float>(integer<uint32_t>(word("bits"), 16));
    if (instruction.code == Code::round) instruction.dtype = dtype();
    end_of_line();
    program_.instructions.push_back(instruction);
  }

  std::string_view text_, line_;
  int number_ = 0;
  Program program_;
};

}  // namespace

Program parse(std::string_view text) {
  return Parser(text).run();
}

}  // namespace reprise::loop
