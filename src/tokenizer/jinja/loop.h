// The `loop` variable of a for statement: an iterator that knows its place.
#pragma once

#include <functional>
#include <memory>

#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

class LoopContext : public HostObject {
 public:
  LoopContext(Runtime& runtime, Value iterable);

  // Moves to the next item; false at the end.
  bool advance(Value& item);

  std::string_view type_name() const override { return "LoopContext"; }
  MarkedText repr(Runtime& runtime) const override;
  std::optional<Value> attribute(Runtime& runtime, const Value& self, std::string_view name) override;

 private:
  bool peek();
  int64_t length();
  static Value cycle(Runtime& runtime, const Value& self, Arguments& arguments);

  Runtime& runtime_;
  Value iterable_;
  std::unique_ptr<Cursor> cursor_;
  int64_t index0_ = -1;
  std::optional<int64_t> length_;
  Value before_, current_, after_;
};

}  // namespace reprise::tokenizer::jinja
