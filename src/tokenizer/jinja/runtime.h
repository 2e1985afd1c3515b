// What a running template may use up, and the makers of its values: every string, list and dict of a render
// is made here, charged to the memory budget and capped in nesting, so that no template can take the process
// with it.
#pragma once

#include <fmt/core.h>

#include <atomic>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace reprise::tokenizer::jinja {

// The reason without the line; the interpreter adds the line and turns it into Error.
struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  template <typename... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    throw Failure(fmt::format(format, std::forward<Args>(args)...));
  }

  // Counts work; fails once a limit is passed: steps, processor time, or the caller's cancel flag. Reading
  // `bytes` of text costs a fraction of a step. Every loop over data from outside counts, so that nothing
  // runs for long between two looks at the clock.
  void step(uint64_t count = 1) {
    steps_ += count;
    if (steps_ >= next_check_) [[unlikely]]
      check_limits();
  }
  void step_bytes(size_t bytes) { step(1 + bytes / 64); }
  // Fails when `bytes` more would pass the budget: call before making something large.
  void reserve(size_t bytes) const;

  Value string(std::string text);
  Value string(MarkedText text);
  Value substring(MarkedView piece);
  Value list(std::vector<Value> items) { return sequence(Kind::kList, std::move(items)); }
  Value tuple(std::vector<Value> items) { return sequence(Kind::kTuple, std::move(items)); }
  Value sequence(Kind kind, std::vector<Value> items);
  Value range(int64_t start, int64_t stop, int64_t step);
  Value view(const Value& dict, ViewKind kind);
  // `sources` are the values that `next` holds: they bound how deep generators stack.
  Value iterator(std::string_view type_name, const std::vector<Value>& sources,
                 std::function<bool(Value&)> next);
  // A generator function: `start` runs at the first item, so its errors come as late as Python's.
  Value generator(const std::vector<Value>& sources, std::function<std::function<bool(Value&)>()> start);
  // An integer beyond 64 bits, in decimal: it is carried and printed, not calculated with.
  Value big_integer(std::string digits) { return plain_text(Kind::kBigInt, std::move(digits)); }
  Value undefined(std::string message) { return plain_text(Kind::kUndefined, std::move(message)); }
  template <typename T, typename... Args>
  Value host(int depth, Args&&... args) {
    auto object = std::make_shared<T>(std::forward<Args>(args)...);
    adopt(*object, sizeof(T), depth);
    return Value(Kind::kHost, std::move(object));
  }
  // Charges an object that was made elsewhere (DictBuilder) to this render.
  void adopt(HeapObject& object, size_t bytes, int depth);
  // Keeps a mutable object alive until the render ends, when `clear` breaks its cycles.
  void keep(std::shared_ptr<const HeapObject> object, std::function<void()> clear);

  // Calls anything callable; throws Failure ("'str' object is not callable").
  Value call(const Value& callee, Arguments& arguments);

  // Bounds recursion of the evaluator and of walks over values.
  class Depth {
   public:
    explicit Depth(Runtime& runtime) : runtime_(runtime) {
      if (++runtime_.depth_ > runtime_.max_depth_) {
        --runtime_.depth_;
        runtime_.fail("recursion deeper than {} levels", runtime_.max_depth_);
      }
    }
    ~Depth() { --runtime_.depth_; }
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;

   private:
    Runtime& runtime_;
  };

  int line = 1;  // of the template, for errors

 protected:
  // From here on, processor time counts; 0 seconds is no limit. `cancel` may be null.
  void begin_clock(double max_cpu_seconds, const std::atomic<bool>* cancel);
  // From here on, work and memory count against these limits.
  void begin_counting(uint64_t max_steps, size_t max_memory_bytes);
  // Clears kept objects; a derived class calls it before its own values die.
  void break_cycles();

  uint64_t max_steps_ = 0;
  int max_depth_ = 0;
  Budget budget_;  // declared first: outlives every value below

 private:
  void check_limits();
  Value plain_text(Kind kind, std::string text);

  uint64_t steps_ = 0;
  uint64_t next_check_ = 0;
  double max_cpu_seconds_ = 0, deadline_ = 0;  // of the thread's processor clock
  const std::atomic<bool>* cancel_ = nullptr;
  int depth_ = 0;
  std::vector<std::pair<std::shared_ptr<const HeapObject>, std::function<void()>>> kept_;
};

// Text under construction, marks included. Every append is work and is checked against the memory budget.
class TextBuilder {
 public:
  explicit TextBuilder(Runtime& runtime) : runtime_(runtime) {}
  void append(MarkedView piece);
  void append(char character) { append(std::string_view(&character, 1)); }
  void append(size_t count, char character);
  // Appends `piece`, all of it marked when `marked`: what is made from marked text in ways too tangled to
  // follow.
  void append_as(std::string_view piece, bool marked);
  Runtime& runtime() const { return runtime_; }
  MarkedText take() { return std::exchange(out_, {}); }

 private:
  void work(size_t bytes);

  Runtime& runtime_;
  MarkedText out_;
  size_t work_ = 0;  // bytes that are not yet counted as steps
};

// Builds a dict by Python's rules: a later value replaces an earlier one in its place. Unhashable keys fail.
class DictBuilder {
 public:
  explicit DictBuilder(Runtime& runtime);
  void set(const Value& key, const Value& value);
  void set(MarkedView key, const Value& value) { set(runtime_.substring(key), value); }
  bool has(const Value& key) const;
  Value build();

 private:
  Runtime& runtime_;
  std::shared_ptr<DictObject> object_;
  int depth_ = 0;
  size_t bytes_ = 0;
};

// Arguments bound to names, as Python binds them. Names beginning with '/' are positional-only.
class Bound {
 public:
  Bound(Runtime& runtime, std::string_view function, const Arguments& arguments,
        std::initializer_list<std::string_view> names, size_t required = 0);
  bool has(size_t i) const { return values_[i] != nullptr; }
  // The argument, which must have been given.
  const Value& operator[](size_t i) const { return *values_[i]; }
  // The argument, or none when absent.
  Value value(size_t i) const { return values_[i] ? *values_[i] : Value::none(); }
  bool flag(size_t i, bool fallback = false) const { return values_[i] ? truthy(*values_[i]) : fallback; }
  // Python's index conversion: integers and bools only.
  int64_t integer(size_t i, int64_t fallback) const;
  // A str argument; anything else fails.
  const std::string& text(size_t i) const;
  MarkedView marked(size_t i) const { return text(i), values_[i]->marked(); }

 private:
  Runtime& runtime_;
  std::string_view function_;
  std::vector<std::string_view> names_;
  std::vector<const Value*> values_;
};

// Walks any iterable. `next` gives false at the end.
class Cursor {
 public:
  // Fails when `iterable` can't be iterated ("'int' object is not iterable").
  Cursor(Runtime& runtime, Value iterable);
  bool next(Value& item);

 private:
  Runtime& runtime_;
  Value iterable_;
  size_t position_ = 0;
};

bool iterable(const Value& value);
// Python's list(value).
std::vector<Value> to_vector(Runtime& runtime, const Value& iterable);
// Python's len(value), or none when the type has no length.
std::optional<int64_t> length_of(const Value& value);

}  // namespace reprise::tokenizer::jinja
