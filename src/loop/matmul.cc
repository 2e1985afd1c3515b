#include "loop/matmul.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/error.h"
#include "loop/text.h"

namespace reprise::loop {
namespace {

constexpr std::string_view kMatmulWord = "matmul ", kX = "x: ", kBefore = "before: ", kAfter = "after: ";

// No line of a loop program begins as a part does, since no name there has a colon.
class MatmulParser {
 public:
  explicit MatmulParser(std::string_view text) : text_(text), rest_(text) {}

  Matmul run() {
    Matmul m;
    take(kMatmulWord);
    m.name = word();
    m.dtype = dtype();
    take("to ");
    m.out = dtype();
    number("k ", m.k);
    number("buffers ", m.buffer_count);
    end_of_line();
    while (rest_.starts_with("segment ")) {
      if (m.segments.size() == Matmul::kMostSegments) fail("more segments than there may be");
      Matmul::Segment& segment = m.segments.emplace_back();
      number("segment ", segment.n);
      number("weight ", segment.weight);
      number("bias ", segment.bias);
      number("out ", segment.out);
      end_of_line();
    }
    if (rest_.starts_with(kX)) {
      number(kX, m.x);
      end_of_line();
    }
    part(kBefore, m.before);
    part(kAfter, m.after);
    if (!rest_.empty()) fail("it does not end");
    verify(m);
    if (print(m) != text_) fail("it is written in another way");
    return m;
  }

 private:
  [[noreturn]] void fail(std::string_view why) const {
    throw Error("[matmul] {} where '{}' begins", why, rest_.substr(0, 40));
  }
  void take(std::string_view what) {
    if (!rest_.starts_with(what)) fail(fmt::format("expected '{}'", what));
    rest_.remove_prefix(what.size());
  }
  // Up to the blank or the end of the line; a blank goes with it.
  std::string_view word() {
    const std::string_view found = rest_.substr(0, rest_.find_first_of(" \n"));
    rest_.remove_prefix(found.size());
    if (rest_.starts_with(' ')) rest_.remove_prefix(1);
    return found;
  }
  DType dtype() {
    const std::optional<DType> found = parse_dtype(word());
    if (!found) fail("no dtype stands");
    return *found;
  }
  template <typename Number>
  void number(std::string_view before, Number& to) {
    take(before);
    const std::string_view digits = word();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), to);
    if (error != std::errc{} || end != digits.data() + digits.size()) fail("no number stands");
  }
  void end_of_line() { take("\n"); }
  void part(std::string_view begin, std::optional<Matmul::Part>& to) {
    if (!rest_.starts_with(begin)) return;
    rest_.remove_prefix(begin.size());
    to.emplace();
    while (!rest_.starts_with('\n')) {
      if (to->buffers.size() == static_cast<size_t>(kMaxBuffers)) fail("more operands than there may be");
      number("", to->buffers.emplace_back());
    }
    end_of_line();
    const size_t end = begin == kBefore ? rest_.find("\nafter: ") : std::string_view::npos;
    to->program = parse(rest_.substr(0, end == std::string_view::npos ? end : end + 1));
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
  }

  std::string_view text_, rest_;
};

class MatmulVerifier {
 public:
  explicit MatmulVerifier(Matmul& matmul) : m_(matmul) {}

  void run() {
    if (!is_number(m_.dtype) || !is_number(m_.out)) fail("{} to {}", name_of(m_.dtype), name_of(m_.out));
    if (m_.k < 1 || m_.k > Matmul::kMostK) fail("k is {}, expected 1 to {}", m_.k, Matmul::kMostK);
    if (m_.buffer_count < 1 || m_.buffer_count > kMaxBuffers)
      fail("{} buffers, expected 1 to {}", m_.buffer_count, kMaxBuffers);
    if (m_.segments.empty() || m_.segments.size() > Matmul::kMostSegments)
      fail("{} segments, expected 1 to {}", m_.segments.size(), Matmul::kMostSegments);
    read_.resize(static_cast<size_t>(m_.buffer_count));
    written_.resize(static_cast<size_t>(m_.buffer_count));
    for (const Matmul::Segment& segment : m_.segments) check(segment);
    if (m_.before.has_value() == (m_.x != -1)) fail("the rows that are multiplied come from one place");
    if (m_.before)
      check_before(*m_.before);
    else
      use(m_.x, false);
    if (m_.after) check_after(*m_.after);
    for (size_t i = 0; i < read_.size(); ++i)
      if (read_[i] == written_[i]) fail("buffer {} is {}", i, read_[i] ? "read and written" : "not used");
  }

 private:
  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> what, Args&&... args) const {
    throw Error("[matmul {}] {}", m_.name, fmt::format(what, std::forward<Args>(args)...));
  }
  static bool is_number(DType dtype) { return dtype == DType::f32 || dtype == DType::bf16; }

  void use(int buffer, bool written) {
    if (buffer < 0 || buffer >= m_.buffer_count) fail("there is no buffer {}", buffer);
    const auto i = static_cast<size_t>(buffer);
    if (written && written_[i]) fail("buffer {} is written twice", buffer);
    (written ? written_ : read_)[i] = true;
  }

  void check(const Matmul::Segment& segment) {
    if (segment.n < 1 || segment.n > kMaxColumns)
      fail("a segment of {} columns, expected 1 to {}", segment.n, kMaxColumns);
    use(segment.weight, false);
    if (segment.bias != -1) use(segment.bias, false);
    if (m_.after.has_value() != (segment.out == -1))
      fail("results are read behind the product, or written by it");
    if (segment.out != -1) use(segment.out, true);
  }

  void check_operands(const Matmul::Part& part) {
    const Program& program = part.program;
    if (part.buffers.size() != static_cast<size_t>(program.buffers()))
      fail("{} numbers of buffers for the {} operands of {}", part.buffers.size(), program.buffers(),
           program.name);
    for (size_t i = 0; i < part.buffers.size(); ++i)
      if (part.buffers[i] >= 0) use(part.buffers[i], program.operands[i].written);
  }

  void check_before(Matmul::Part& part) {
    verify(part.program);
    const Program& program = part.program;
    if (m_.k % program.columns != 0) fail("rows of {} columns before k {}", program.columns, m_.k);
    check_operands(part);
    int x = 0, written = 0;
    for (size_t i = 0; i < part.buffers.size(); ++i) {
      const Operand& operand = program.operands[i];
      written += operand.written ? 1 : 0;
      if (part.buffers[i] >= 0) continue;
      if (part.buffers[i] != -1 || !operand.written || operand.dtype != m_.dtype)
        fail("operand '{}' of {} is not the rows that are multiplied", operand.name, program.name);
      ++x;
    }
    if (written > Matmul::kMostWritten)
      fail("{} writes {} operands, expected at most {}", program.name, written, Matmul::kMostWritten);
    if (x != 1) fail("{} makes the rows that are multiplied {} times", program.name, x);
  }

  void check_after(Matmul::Part& part) {
    verify(part.program);
    const Program& program = part.program;
    for (const Matmul::Segment& segment : m_.segments)
      if (segment.n != program.columns)
        fail("{} of {} columns behind a segment of {}", program.name, program.columns, segment.n);
    if (std::ranges::any_of(program.instructions,
                            [](const Instruction& i) { return info_of(i.code).reduces; }))
      fail("columns of {} need one another", program.name);
    check_operands(part);
    for (size_t i = 0; i < part.buffers.size(); ++i) {
      const Operand& operand = program.operands[i];
      if (part.buffers[i] < 0 && (part.buffers[i] != -1 - static_cast<int>(i) || i >= m_.segments.size() ||
                                  operand.written || operand.dtype != m_.out || operand.place != Place::row))
        fail("operand '{}' of {} is no result of the product", operand.name, program.name);
      if (part.buffers[i] >= 0 && i < m_.segments.size())
        fail("{} does not begin with the results of the product", program.name);
    }
    if (part.buffers.size() < m_.segments.size()) fail("{} has too few operands", program.name);
  }

  Matmul& m_;
  std::vector<bool> read_, written_;
};

}  // namespace

std::string print(const Matmul& m) {
  std::string text = fmt::format("{}{} {} to {} k {} buffers {}\n", kMatmulWord, m.name, name_of(m.dtype),
                                 name_of(m.out), m.k, m.buffer_count);
  for (const Matmul::Segment& segment : m.segments)
    text += fmt::format("segment {} weight {} bias {} out {}\n", segment.n, segment.weight, segment.bias,
                        segment.out);
  const auto add = [&](std::string_view begin, const Matmul::Part& part) {
    text += begin;
    for (size_t i = 0; i < part.buffers.size(); ++i)
      text += fmt::format("{}{}", i == 0 ? "" : " ", part.buffers[i]);
    text += '\n' + print(part.program);
  };
  if (m.x != -1) text += fmt::format("{}{}\n", kX, m.x);
  if (m.before) add(kBefore, *m.before);
  if (m.after) add(kAfter, *m.after);
  return text;
}

bool is_matmul(std::string_view text) {
  return text.starts_with(kMatmulWord);
}

Matmul parse_matmul(std::string_view text) {
  return MatmulParser(text).run();
}

bool has_products(const Matmul& m, Isa level) {
  constexpr int64_t kMost = 1024;
  if (level == Isa::scalar || m.k > kMost) return false;
  return m.dtype == DType::f32 || (level == Isa::avx512_bf16 && m.k % 2 == 0);
}

void verify(Matmul& matmul) {
  MatmulVerifier(matmul).run();
}

}  // namespace reprise::loop
