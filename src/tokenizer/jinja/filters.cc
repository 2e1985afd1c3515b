#include "tokenizer/jinja/filters.h"

#include <fmt/core.h>

#include <array>

#include "core/nearest.h"
#include "tokenizer/jinja/attributes.h"
#include "tokenizer/jinja/strings.h"
#include "tokenizer/jinja/text.h"

namespace reprise::tokenizer::jinja {
namespace {

std::array<std::span<const Filter>, 4> groups() {
  return {text_filters(), sequence_filters(), select_filters(), value_filters()};
}

std::string unknown_name(std::string_view kind, std::string_view name,
                         const std::vector<std::string>& known) {
  constexpr size_t kLongest = 40;  // of a name that may be a misspelling
  std::string message = fmt::format("No {} named {}", kind, quote(name));
  std::vector<std::string_view> names(known.begin(), known.end());
  std::string_view nearest = name.size() > kLongest ? std::string_view() : nearest_name(name, names);
  return nearest.empty() ? message : fmt::format("{}; the nearest is {}", message, quote(nearest));
}

}  // namespace

FilterFunction find_filter(std::string_view name) {
  for (std::span<const Filter> group : groups())
    for (const Filter& filter : group)
      if (filter.name == name) return filter.function;
  return nullptr;
}

std::vector<std::string> filter_names() {
  std::vector<std::string> names;
  for (std::span<const Filter> group : groups())
    for (const Filter& filter : group) names.emplace_back(filter.name);
  return names;
}

std::string unknown_filter(std::string_view name) {
  return unknown_name("filter", name, filter_names());
}

std::string unknown_test(std::string_view name) {
  return unknown_name("test", name, test_names());
}

Value fold_case(Runtime& runtime, const Value& value) {
  return value.is_string() ? cased(runtime, value, Case::kLower) : value;
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
