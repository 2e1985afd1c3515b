#include "tokenizer/jinja/loop.h"

#include <fmt/core.h>

#include "tokenizer/jinja/attributes.h"

namespace reprise::tokenizer::jinja {

LoopContext::LoopContext(Runtime& runtime, Value iterable)
    : runtime_(runtime),
      iterable_(std::move(iterable)),
      cursor_(std::make_unique<Cursor>(runtime, iterable_)) {}

bool LoopContext::advance(Value& item) {
  if (!after_.is(Kind::kMissing)) {
    item = std::exchange(after_, Value());
  } else if (!cursor_->next(item)) {
    return false;
  }
  ++index0_;
  before_ = std::exchange(current_, item);
  return true;
}

bool LoopContext::peek() {
  if (!after_.is(Kind::kMissing)) return true;
  Value item;
  if (!cursor_->next(item)) return false;
  after_ = std::move(item);
  return true;
}

int64_t LoopContext::length() {
  if (length_) return *length_;
  length_ = length_of(iterable_);
  if (!length_) {
    // A generator has no length: read the rest, and go on from what was read.
    Value rest = runtime_.list(to_vector(runtime_, iterable_));
    length_ = static_cast<int64_t>(rest.items().size()) + index0_ + 1 + !after_.is(Kind::kMissing);
    cursor_ = std::make_unique<Cursor>(runtime_, rest);
  }
  return *length_;
}

MarkedText LoopContext::repr(Runtime&) const {
  return MarkedText(
      fmt::format("<LoopContext {}/{}>", index0_ + 1, const_cast<LoopContext*>(this)->length()));
}

std::optional<Value> LoopContext::attribute(Runtime& runtime, const Value& self, std::string_view name) {
  if (name == "index") return Value::integer(index0_ + 1);
  if (name == "index0") return Value::integer(index0_);
  if (name == "first") return Value::boolean(index0_ == 0);
  if (name == "last") return Value::boolean(!peek());
  if (name == "length") return Value::integer(length());
  if (name == "revindex") return Value::integer(length() - index0_);
  if (name == "revindex0") return Value::integer(length() - index0_ - 1);
  if (name == "depth") return Value::integer(1);
  if (name == "depth0") return Value::integer(0);
  if (name == "previtem") return index0_ == 0 ? runtime.undefined("there is no previous item") : before_;
  if (name == "nextitem") return peek() ? after_ : runtime.undefined("there is no next item");
  static constexpr Method kMethods[] = {{"cycle", cycle}};
  return find_method(runtime, kMethods, self, name);
}

Value LoopContext::cycle(Runtime& runtime, const Value& self, Arguments& arguments) {
  const LoopContext& loop = *self.host_as<LoopContext>();
  if (!arguments.named.empty()) runtime.fail("cycle() takes no keyword arguments");
  if (arguments.positional.empty()) runtime.fail("no items for cycling given");
  return arguments.positional[static_cast<size_t>(loop.index0_) % arguments.positional.size()];
}

}  // namespace reprise::tokenizer::jinja
