#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <unordered_map>

#include "core/error.h"
#include "graph/text.h"
#include "ops/registry.h"

namespace reprise::graph {
namespace {

// Of numbers in dimensions and indices, so that sums of a few stay far from overflow.
constexpr int64_t kLargest = int64_t{1} << 40;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Graph parse() {
    skip_lines();
    expect("graph");
    graph_.name = name("the graph's name");
    expect("{");
    end_of_line();
    while (!take("}")) {
      if (take_word("return"))
        output();
      else if (const auto kind = value_kind())
        outside(*kind);
      else
        node();
      end_of_line();
    }
    skip_lines();
    if (at_ < text_.size()) fail("text after the graph's closing brace");
    return std::move(graph_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { fail_at(at_, what); }
  [[noreturn]] void fail_at(size_t at, const std::string& what) const {
    const std::string_view before = text_.substr(0, at);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const size_t start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
    throw Error("[graph text] line {}, column {}: {}", line, at - start + 1, what);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_blanks() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\r') ++at_;
  }
  void skip_comment() {
    if (peek() == '#') at_ = std::min(text_.find('\n', at_), text_.size());
  }
  // Blank lines and lines of comment.
  void skip_lines() {
    for (skip_blanks(), skip_comment(); peek() == '\n'; skip_blanks(), skip_comment()) ++at_;
  }
  void end_of_line() {
    skip_blanks();
    skip_comment();
    if (peek() != '\n') fail("expected the end of the line");
    skip_lines();
  }
  bool take(std::string_view symbol) {
    skip_blanks();
    if (text_.substr(at_, symbol.size()) != symbol) return false;
    at_ += symbol.size();
    return true;
  }
  void expect(std::string_view symbol) {
    if (!take(symbol)) fail(fmt::format("expected '{}'", symbol));
  }
  static bool is_name_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._@/-+$").find(c) != std::string_view::npos;
  }
  // Characters of a bare word from here on, without taking them.
  std::string_view bare() {
    skip_blanks();
    size_t end = at_;
    while (end < text_.size() && is_name_character(text_[end])) ++end;
    return text_.substr(at_, end - at_);
  }
  bool take_word(std::string_view word) {
    if (bare() != word) return false;
    at_ += word.size();
    return true;
  }
  std::optional<ValueKind> value_kind() {
    if (take_word("input")) return ValueKind::input;
    if (take_word("weight")) return ValueKind::weight;
    if (take_word("state")) return ValueKind::state;
    return std::nullopt;
  }

  std::string quoted() {
    const size_t start = at_++;
    std::string out;
    while (peek() != '"') {
      if (at_ >= text_.size() || peek() == '\n') fail_at(start, "a quoted name that doesn't end");
      if (peek() != '\\') {
        out += text_[at_++];
        continue;
      }
      ++at_;
      if (peek() != 'u') {
        if (peek() != '"' && peek() != '\\') fail("an escape is \\\", \\\\ or \\u and four digits");
        out += text_[at_++];
        continue;
      }
      unsigned code = 0;
      const std::string_view digits = text_.substr(at_ + 1, 4);
      if (const auto [stop, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
          digits.size() != 4 || failed != std::errc() || stop != digits.data() + 4 || code > 0x7f)
        fail("an escape \\u has four hexadecimal digits and is below 0080");
      out += static_cast<char>(code);
      at_ += 5;
    }
    ++at_;
    return out;
  }
  std::string name(std::string_view what) {
    const std::string_view word = bare();
    if (peek() == '"') return quoted();
    if (word.empty()) fail(fmt::format("expected {}", what));
    at_ += word.size();
    return std::string(word);
  }

  int64_t integer(std::string_view what) {
    skip_blanks();
    int64_t value = 0;
    const auto [stop, failed] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (failed != std::errc() || value > kLargest || value < -kLargest)
      fail(fmt::format("expected {} of at most {}", what, kLargest));
    at_ = static_cast<size_t>(stop - text_.data());
    return value;
  }

  DType dtype() {
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8, DType::i32})
      if (take_word(short_name_of(dtype))) return dtype;
    fail("expected a type: f32, f16, bf16, i8 or i32");
  }

  // A sum of T, S, R and numbers with factors: "2*T+1".
  Dim dim() {
    Dim sum;
    bool first = true;
    for (skip_blanks();; skip_blanks()) {
      int64_t sign = 1;
      if (take("+")) {
        sign = 1;
      } else if (!first && peek() != '-') {
        return sum;
      }
      if (take("-")) sign = -1;
      first = false;
      skip_blanks();
      int64_t factor = 1;
      const bool number = peek() >= '0' && peek() <= '9';
      if (number) factor = integer("a number");
      if (number && !take("*")) {
        sum = sum + Dim{sign * factor};
      } else if (take("T")) {
        sum = sum + kTokens * (sign * factor);
      } else if (take("S")) {
        sum = sum + kSeqs * (sign * factor);
      } else if (take("R")) {
        sum = sum + kRows * (sign * factor);
      } else {
        fail("expected a dimension: numbers, T, S and R, such as 2*T+1");
      }
    }
  }

  Shape shape() {
    expect("[");
    std::array<Dim, Shape::kMaxRank> dims;
    size_t rank = 0;
    if (!take("]")) {
      do {
        if (rank == dims.size()) fail("a shape has at most 4 dimensions");
        dims[rank++] = dim();
      } while (take(","));
      expect("]");
    }
    int symbolic = 0;
    int64_t elements = 1;
    for (size_t i = 0; i < rank; ++i) {
      const Dim& dim = dims[i];
      if (!dim.is_constant()) ++symbolic;
      const int64_t size = std::max(
          {std::abs(dim.constant), std::abs(dim.tokens), std::abs(dim.seqs), std::abs(dim.rows), int64_t{1}});
      if (elements > kLargest / size) fail(fmt::format("a shape of more than {} elements", kLargest));
      elements *= size;
    }
    if (symbolic > 1) fail("a shape has at most one dimension with T, S or R");
    switch (rank) {
      case 0:
        return {};
      case 1:
        return {dims[0]};
      case 2:
        return {dims[0], dims[1]};
      case 3:
        return {dims[0], dims[1], dims[2]};
      default:
        return {dims[0], dims[1], dims[2], dims[3]};
    }
  }

  void type(Value& value) {
    value.dtype = dtype();
    if (const std::string_view word = bare(); !word.empty()) {
      const std::optional<Packing> packing = parse_packing(word, value.dtype);
      if (!packing)
        fail(fmt::format(
            "'{}' is no packing of {}; expected panels, panels/32xf16 (groups of 32 that share a scale) "
            "or a shape",
            word, short_name_of(value.dtype)));
      value.packing = *packing;
      at_ += word.size();
    }
    value.shape = shape();
  }

  ops::AttrValue attribute() {
    skip_blanks();
    if (take("[")) {
      const Dim value = dim();
      expect("]");
      return value;
    }
    const std::string_view word = bare();
    for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8, DType::i32})
      if (word == short_name_of(dtype)) {
        at_ += word.size();
        return dtype;
      }
    int64_t whole = 0;
    double real = 0;
    const char* end = word.data() + word.size();
    if (const auto [stop, failed] = std::from_chars(word.data(), end, whole);
        failed == std::errc() && stop == end) {
      at_ += word.size();
      return whole;
    }
    if (const auto [stop, failed] = std::from_chars(word.data(), end, real);
        failed == std::errc() && stop == end) {
      at_ += word.size();
      return real;
    }
    fail("expected a number, a dtype or a dimension in brackets");
  }

  ValueId add(Value value, size_t at) {
    std::string key = value.name;
    const auto [entry, fresh] = ids_.emplace(std::move(key), static_cast<ValueId>(graph_.values.size()));
    if (!fresh) fail_at(at, fmt::format("%{} is defined twice", value.name));
    return add_value(graph_, std::move(value));
  }
  ValueId used() {
    if (take_word("_")) return kNone;
    const size_t at = at_;
    expect("%");
    const std::string wanted = name("a value's name");
    const auto found = ids_.find(wanted);
    if (found == ids_.end()) fail_at(at, fmt::format("%{} is not defined above", wanted));
    return found->second;
  }

  void outside(ValueKind kind) {
    const size_t at = at_;
    expect("%");
    Value value;
    value.kind = kind;
    value.name = name("a value's name");
    expect(":");
    type(value);
    add(std::move(value), at);
  }

  void output() {
    GraphOutput output;
    output.name = name("the output's name");
    expect("=");
    output.value = used();
    graph_.outputs.push_back(std::move(output));
  }

  void node() {
    struct Defined {
      std::string name;
      size_t at;
    };
    std::vector<Defined> defined;
    while (take("%")) {
      const size_t at = at_ - 1;
      defined.push_back({name("a value's name"), at});
      if (!take(",")) break;
    }
    if (!defined.empty()) expect("=");
    Node node;
    skip_blanks();
    const size_t op_at = at_;
    const std::string op = name("an op, or input, weight, state, return or }");
    node.schema = ops::find_op(op);
    if (node.schema == nullptr) fail_at(op_at, fmt::format("no op is called '{}'", op));
    inputs(node);
    attributes(node);
    shares(node);
    const auto id = static_cast<NodeId>(graph_.nodes.size());
    for (size_t i = 0; i < defined.size(); ++i) {
      if (i == 0) expect(":");
      if (i > 0) expect(",");
      Value value;
      value.name = defined[i].name;
      value.producer = id;
      value.output = static_cast<int>(i);
      type(value);
      node.outputs.push_back(add(std::move(value), defined[i].at));
    }
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (const int written = written_input(node, static_cast<int>(i)); written != kNone)
        graph_.value(node.outputs[i]).previous = node.inputs[static_cast<size_t>(written)];
    origin(node);
    graph_.nodes.push_back(std::move(node));
  }

  void inputs(Node& node) {
    expect("(");
    if (!take(")")) {
      do {
        node.inputs.push_back(used());
      } while (take(","));
      expect(")");
    }
    if (node.inputs.size() != node.schema->input_names.size())
      fail(fmt::format("{} inputs; '{}' has {}", node.inputs.size(), node.schema->name,
                       node.schema->input_names.size()));
  }

  void attributes(Node& node) {
    const auto names = node.schema->attr_names;
    const size_t at = at_;
    if (take("{")) {
      do {
        const std::string attribute_name = name("an attribute's name");
        if (node.attrs.size() == names.size() || attribute_name != names[node.attrs.size()])
          fail(fmt::format("'{}' has the attributes {}, in this order", node.schema->name,
                           fmt::join(names, ", ")));
        expect("=");
        node.attrs.push_back(attribute());
      } while (take(","));
      expect("}");
    }
    if (node.attrs.size() != names.size())
      fail_at(at, fmt::format("'{}' has the attributes {}", node.schema->name, fmt::join(names, ", ")));
  }

  void shares(Node& node) {
    if (!take_word("share")) return;
    expect("(");
    do {
      const int64_t output = integer("the number of an output");
      expect(":");
      const int64_t input = integer("the number of an input");
      if (output < 0 || output >= static_cast<int64_t>(node.shares.size()) || input < 0 ||
          input >= ops::OpCall::kMaxInputs)
        fail("share names an output below 4 and an input below 12");
      node.shares[static_cast<size_t>(output)] = static_cast<int8_t>(input);
    } while (take(","));
    expect(")");
  }

  // What the comment behind a node says.
  void origin(Node& node) {
    if (!take("#")) return;
    for (std::string* word : {&node.layer, &node.source}) {
      skip_blanks();
      if (peek() == '"') {
        *word = quoted();
        continue;
      }
      const size_t end = std::min(text_.find_first_of(" \t\r\n", at_), text_.size());
      *word = text_.substr(at_, end - at_);
      at_ = end;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
  Graph graph_;
  std::unordered_map<std::string, ValueId> ids_;
};

}  // namespace

Graph parse(std::string_view text) {
  return Parser(text).parse();
}

}  // namespace reprise::graph
