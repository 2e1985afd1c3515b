// map, select, reject and their attribute forms: generators that call a filter or a test by name; attr.
#include "tokenizer/jinja/attributes.h"
#include "tokenizer/jinja/filters.h"
#include "tokenizer/jinja/text.h"

namespace reprise::tokenizer::jinja {
namespace {

using Transform = std::function<Value(const Value&)>;

std::string name_of(Runtime& runtime, const Value& value) {
  return value.is_string() ? value.text() : to_repr(runtime, value).text;
}

// The arguments from `first` on, behind a place for the item.
Arguments with_item(const Arguments& arguments, size_t first) {
  Arguments rest;
  rest.positional.emplace_back();
  rest.positional.insert(rest.positional.end(), arguments.positional.begin() + static_cast<ptrdiff_t>(first),
                         arguments.positional.end());
  rest.named = arguments.named;
  return rest;
}

// Takes the next item from the cursor; false at the end.
using Step = std::function<bool(Cursor&, Value&)>;

// A generator over the first argument. `prepare` sees the arguments when the first item is asked for, so that
// its errors come as late as Python's.
Value lazily(Runtime& runtime, const Arguments& arguments, Step (*prepare)(Runtime&, const Arguments&)) {
  std::vector<Value> sources = arguments.positional;
  for (const auto& [name, value] : arguments.named) sources.push_back(value);
  return runtime.generator(sources, [&runtime, arguments, prepare]() -> std::function<bool(Value&)> {
    const Value& value = arguments.positional.at(0);
    if (!truthy(value)) return [](Value&) { return false; };
    Step step = prepare(runtime, arguments);
    auto cursor = std::make_shared<Cursor>(runtime, value);
    return [cursor, step](Value& item) { return step(*cursor, item); };
  });
}

Transform prepare_map(Runtime& runtime, const Arguments& arguments) {
  if (arguments.positional.size() < 2) {
    Value attribute, fallback = Value::none();
    for (const auto& [name, value] : arguments.named) {
      if (name.text == "attribute")
        attribute = value;
      else if (name.text == "default")
        fallback = value;
    }
    if (attribute.is(Kind::kMissing)) runtime.fail("map requires a filter argument");
    for (const auto& [name, value] : arguments.named)
      if (name.text != "attribute" && name.text != "default")
        runtime.fail("Unexpected keyword argument {}", quote(name.text));
    return AttributeGetter(runtime, attribute, false, fallback);
  }
  std::string name = name_of(runtime, arguments.positional[1]);
  Arguments rest = with_item(arguments, 2);
  return [&runtime, name, rest](const Value& item) {
    FilterFunction filter = find_filter(name);
    if (!filter) runtime.fail("{}", unknown_filter(name));
    runtime.step(rest.positional.size() + rest.named.size());
    Arguments call = rest;
    call.positional[0] = item;
    return filter(runtime, call);
  };
}

Value map(Runtime& runtime, Arguments& arguments) {
  return lazily(runtime, arguments, [](Runtime& runtime, const Arguments& arguments) -> Step {
    return [transform = prepare_map(runtime, arguments)](Cursor& cursor, Value& item) {
      Value source;
      if (!cursor.next(source)) return false;
      item = transform(source);
      return true;
    };
  });
}

std::function<bool(const Value&)> prepare_test(Runtime& runtime, const Arguments& arguments,
                                               bool by_attribute) {
  Transform transform = [](const Value& item) { return item; };
  size_t next = 1;
  if (by_attribute) {
    if (arguments.positional.size() < 2) runtime.fail("Missing parameter for attribute name");
    transform = AttributeGetter(runtime, arguments.positional[1]);
    next = 2;
  }
  if (arguments.positional.size() <= next)
    return [transform](const Value& item) { return truthy(transform(item)); };
  std::string name = name_of(runtime, arguments.positional[next]);
  Arguments rest = with_item(arguments, next + 1);
  return [&runtime, transform, name, rest](const Value& item) {
    Value subject = transform(item);
    TestFunction test = find_test(name);
    if (!test) runtime.fail("{}", unknown_test(name));
    runtime.step(rest.positional.size() + rest.named.size());
    Arguments call = rest;
    call.positional[0] = subject;
    return test(runtime, call);
  };
}

template <bool keep, bool by_attribute>
Value select(Runtime& runtime, Arguments& arguments) {
  return lazily(runtime, arguments, [](Runtime& runtime, const Arguments& arguments) -> Step {
    return [test = prepare_test(runtime, arguments, by_attribute)](Cursor& cursor, Value& item) {
      while (cursor.next(item))
        if (test(item) == keep) return true;
      return false;
    };
  });
}

Value attr(Runtime& runtime, Arguments& arguments) {
  Bound bound(runtime, "attr", arguments, {"/obj", "name"}, 2);
  bound.text(1);
  return get_attribute(runtime, bound[0], bound[1], false);
}

constexpr Filter kSelectFilters[] = {{"attr", attr},
                                     {"map", map},
                                     {"reject", select<false, false>},
                                     {"rejectattr", select<false, true>},
                                     {"select", select<true, false>},
                                     {"selectattr", select<true, true>}};

}  // namespace

std::span<const Filter> select_filters() {
  return kSelectFilters;
}

}  // namespace reprise::tokenizer::jinja
