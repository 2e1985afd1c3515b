#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "graph/text.h"

namespace reprise::graph {
namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._@/-+$").find(c) != std::string_view::npos;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  out += '"';
}

void append_name(std::string& out, std::string_view name) {
  if (!name.empty() && std::all_of(name.begin(), name.end(), is_name_character))
    out += name;
  else
    append_quoted(out, name);
}

// Layers and sources: anything without blanks stands bare.
void append_word(std::string& out, std::string_view word) {
  const bool bare = !word.empty() && word.front() != '"' &&
                    std::all_of(word.begin(), word.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (bare)
    out += word;
  else
    append_quoted(out, word);
}

void append_value(std::string& out, const Graph& graph, ValueId value) {
  if (value == kNone) {
    out += '_';
    return;
  }
  out += '%';
  append_name(out, graph.value(value).name);
}

void append_type(std::string& out, const Value& value) {
  out += short_name_of(value.dtype);
  if (value.packing.is_packed()) (out += ' ') += to_string(value.packing);
  out += to_string(value.shape);
}

void append_attribute(std::string& out, const ops::AttrValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) {
    fmt::format_to(std::back_inserter(out), "{}", *integer);
  } else if (const auto* real = std::get_if<double>(&value)) {
    const std::string text = fmt::format("{}", *real);
    out += text;
    // "1" would come back as an integer.
    if (text.find_first_not_of("-0123456789") == std::string::npos) out += ".0";
  } else if (const auto* dtype = std::get_if<DType>(&value)) {
    out += short_name_of(*dtype);
  } else {
    ((out += '[') += to_string(std::get<Dim>(value))) += ']';
  }
}

void append_attributes(std::string& out, const Node& node) {
  for (size_t i = 0; i < node.attrs.size(); ++i) {
    out += i == 0 ? "{" : ", ";
    out += node.schema->attr_names[i];
    out += " = ";
    append_attribute(out, node.attrs[i]);
  }
  if (!node.attrs.empty()) out += '}';
}

void append_node(std::string& out, const Graph& graph, const Node& node) {
  out += "  ";
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (i > 0) out += ", ";
    append_value(out, graph, node.outputs[i]);
  }
  if (!node.outputs.empty()) out += " = ";
  out += node.schema->name;
  out += '(';
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    if (i > 0) out += ", ";
    append_value(out, graph, node.inputs[i]);
  }
  out += ')';
  if (!node.attrs.empty()) out += ' ';
  append_attributes(out, node);
  const char* separator = " share(";
  for (size_t i = 0; i < node.shares.size(); ++i) {
    if (node.shares[i] == kNone) continue;
    fmt::format_to(std::back_inserter(out), "{}{}: {}", separator, i, node.shares[i]);
    separator = ", ";
  }
  if (separator[0] == ',') out += ')';
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    out += i == 0 ? " : " : ", ";
    append_type(out, graph.value(node.outputs[i]));
  }
  if (!node.layer.empty() || !node.source.empty()) {
    out += "  # ";
    append_word(out, node.layer);
    if (!node.source.empty()) {
      out += ' ';
      append_word(out, node.source);
    }
  }
  out += '\n';
}

std::string_view name_of(ValueKind kind) {
  switch (kind) {
    case ValueKind::input:
      return "input";
    case ValueKind::weight:
      return "weight";
    case ValueKind::state:
      return "state";
    case ValueKind::result:
      return "result";
  }
  return "unknown";
}

}  // namespace

std::string type_text(const Value& value) {
  std::string out;
  append_type(out, value);
  return out;
}

std::string attributes_text(const Node& node) {
  std::string out;
  append_attributes(out, node);
  return out;
}

std::string print(const Graph& graph) {
  std::string out = "graph ";
  append_name(out, graph.name);
  out += " {\n";
  for (const Value& value : graph.values) {
    if (value.kind == ValueKind::result) continue;
    out += "  ";
    out += name_of(value.kind);
    out += " %";
    append_name(out, value.name);
    out += " : ";
    append_type(out, value);
    out += '\n';
  }
  for (const Node& node : graph.nodes) append_node(out, graph, node);
  for (const GraphOutput& output : graph.outputs) {
    out += "  return ";
    append_name(out, output.name);
    out += " = ";
    append_value(out, graph, output.value);
    out += '\n';
  }
  out += "}\n";
  return out;
}

}  // namespace reprise::graph
