#include "tokenizer/template/filters.h"

#include <map>

#include "tokenizer/template/attributes.h"
#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

// Filters that jinja2 has and chat templates have no use for: random, or bound to HTML pages.
Value refused(Runtime& runtime, Arguments&) {
  runtime.fail("the filters pprint, random, urlize and wordwrap are not available in chat templates");
}

constexpr Filter kRefused[] = {
    {"pprint", refused}, {"random", refused}, {"urlize", refused}, {"wordwrap", refused}};

const std::map<std::string_view, FilterFunction>& filters() {
  static const auto table = [] {
    std::map<std::string_view, FilterFunction> filters;
    for (auto group : {text_filters(), sequence_filters(), order_filters(), select_filters(), value_filters(),
                       std::span<const Filter>(kRefused)})
      for (const Filter& filter : group) filters.emplace(filter.name, filter.function);
    return filters;
  }();
  return table;
}

}  // namespace

FilterFunction find_filter(std::string_view name) {
  auto it = filters().find(name);
  return it == filters().end() ? nullptr : it->second;
}

std::vector<std::string> filter_names() {
  std::vector<std::string> names;
  for (const auto& [name, function] : filters()) names.emplace_back(name);
  return names;
}

Value fold_case(Runtime& runtime, const Value& value) {
  if (!value.is_string()) return value;
  runtime.step_bytes(value.text().size());
  return runtime.string(change_case(value.marked(), Case::kLower));
}

AttributeGetter::AttributeGetter(Runtime& runtime, const Value& attribute, bool fold_case, Value fallback)
    : runtime_(&runtime), fold_case_(fold_case), fallback_(std::move(fallback)) {
  if (attribute.is(Kind::kNone)) return;
  if (!attribute.is_string()) {
    parts_.push_back(attribute);
    return;
  }
  std::string_view path = attribute.text();
  for (size_t begin = 0; begin <= path.size();) {
    size_t end = std::min(path.find('.', begin), path.size());
    std::string part(path.substr(begin, end - begin));
    bool digits = !part.empty() && part.size() < 19 && part.find_first_not_of("0123456789") == part.npos;
    parts_.push_back(digits ? Value::integer(std::stoll(part)) : runtime.string(part));
    begin = end + 1;
  }
}

Value AttributeGetter::operator()(const Value& item) const {
  Value value = item;
  for (const Value& part : parts_) {
    value = get_item(*runtime_, value, part);
    if (value.is_undefined() && !fallback_.is(Kind::kNone)) value = fallback_;
  }
  return fold_case_ ? fold_case(*runtime_, value) : value;
}

}  // namespace reprise::tokenizer::jinja
