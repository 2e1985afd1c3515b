#include "tokenizer/jinja/runtime.h"

#include <time.h>

#include <algorithm>

#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

constexpr int kMaxValueDepth = 400;    // lists in lists; every walk over a value recurses at most this deep
constexpr size_t kObjectBytes = 96;    // book-keeping of one heap object
constexpr size_t kIndexedEntries = 8;  // dicts above this get a hash index

constexpr uint64_t kStepsPerCheck = 4096;  // about a millisecond at most

double thread_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

int depth_below(std::span<const Value> values) {
  int depth = 0;
  for (const Value& value : values) depth = std::max(depth, value.depth());
  return depth + 1;
}

}  // namespace

void Runtime::check_limits() {
  if (steps_ > max_steps_)
    fail("the template took more than {} steps; it seems to loop without end", max_steps_);
  if (cancel_ && cancel_->load(std::memory_order_relaxed)) fail("the render was cancelled");
  if (max_cpu_seconds_ > 0 && thread_seconds() > deadline_)
    fail("the template took more than {} seconds of processor time", max_cpu_seconds_);
  next_check_ = std::min(steps_ + kStepsPerCheck, max_steps_ + (max_steps_ < UINT64_MAX));
}

void Runtime::begin_clock(double max_cpu_seconds, const std::atomic<bool>* cancel) {
  max_cpu_seconds_ = max_cpu_seconds;
  deadline_ = thread_seconds() + max_cpu_seconds;
  cancel_ = cancel;
}

void Runtime::begin_counting(uint64_t max_steps, size_t max_memory_bytes) {
  steps_ = next_check_ = 0;
  max_steps_ = max_steps;
  budget_.limit = budget_.used + max_memory_bytes;
}

void Runtime::reserve(size_t bytes) const {
  if (bytes > budget_.limit || budget_.used > budget_.limit - bytes)
    fail("the template's values need more than {} bytes of memory", budget_.limit);
}

void Runtime::adopt(HeapObject& object, size_t bytes, int depth) {
  if (depth > kMaxValueDepth) fail("values nest deeper than {} levels", kMaxValueDepth);
  bytes += kObjectBytes;
  reserve(bytes);
  budget_.used += bytes;
  object.budget = &budget_;
  object.bytes = bytes;
  object.depth = depth;
}

void Runtime::keep(std::shared_ptr<const HeapObject> object, std::function<void()> clear) {
  step();
  kept_.emplace_back(std::move(object), std::move(clear));
}

void Runtime::break_cycles() {
  for (auto& [object, clear] : kept_) clear();
  kept_.clear();
}

Value Runtime::string(std::string text) {
  return string(MarkedText(std::move(text)));
}

Value Runtime::string(MarkedText marked) {
  auto object = std::make_shared<StringObject>();
  step_bytes(marked.text.size());
  adopt(*object, marked.text.size() + marked.marks.size() * sizeof(TextSpan), 0);
  object->length = count_points(marked.text);
  object->text = std::move(marked.text);
  if (!marked.marks.empty()) object->marks = std::make_unique<const Marks>(std::move(marked.marks));
  return Value(Kind::kString, std::move(object));
}

Value Runtime::substring(MarkedView piece) {
  reserve(piece.size());
  return string(MarkedText(piece));
}

Value Runtime::sequence(Kind kind, std::vector<Value> items) {
  step(items.size() / 8);
  auto object = std::make_shared<ListObject>();
  adopt(*object, items.size() * sizeof(Value), depth_below(items));
  object->items = std::move(items);
  return Value(kind, std::move(object));
}

Value Runtime::range(int64_t start, int64_t stop, int64_t step) {
  auto object = std::make_shared<RangeObject>();
  object->start = start;
  object->stop = stop;
  object->step = step;
  __int128 span = step > 0 ? static_cast<__int128>(stop) - start : static_cast<__int128>(start) - stop;
  __int128 stride = step > 0 ? static_cast<__int128>(step) : -static_cast<__int128>(step);
  __int128 length = span <= 0 ? 0 : (span + stride - 1) / stride;
  // A count above 2^63 is over any limit that a caller sets.
  object->length = static_cast<int64_t>(std::min<__int128>(length, INT64_MAX));
  adopt(*object, sizeof(RangeObject), 0);
  return Value(Kind::kRange, std::move(object));
}

Value Runtime::view(const Value& dict, ViewKind kind) {
  auto object = std::make_shared<ViewObject>();
  adopt(*object, sizeof(ViewObject), dict.depth() + 1);
  object->dict = dict;
  object->view = kind;
  return Value(Kind::kView, std::move(object));
}

Value Runtime::iterator(std::string_view type_name, const std::vector<Value>& sources,
                        std::function<bool(Value&)> next) {
  auto object = std::make_shared<IteratorObject>();
  adopt(*object, sizeof(IteratorObject), depth_below(sources));
  object->type_name = type_name;
  object->next = std::move(next);
  return Value(Kind::kIterator, std::move(object));
}

Value Runtime::generator(const std::vector<Value>& sources,
                         std::function<std::function<bool(Value&)>()> start) {
  auto next = std::make_shared<std::function<bool(Value&)>>();
  return iterator("generator", sources, [this, start = std::move(start), next](Value& item) {
    Depth depth(*this);
    if (!*next) *next = start();
    return (*next)(item);
  });
}

Value Runtime::plain_text(Kind kind, std::string text) {
  step_bytes(text.size());
  auto object = std::make_shared<StringObject>();
  adopt(*object, text.size(), 0);
  object->text = std::move(text);
  return Value(kind, std::move(object));
}

Value Runtime::call(const Value& callee, Arguments& arguments) {
  step();
  if (callee.is_undefined()) fail("{}", callee.text());
  if (!callee.is(Kind::kHost) || !callee.host().callable())
    fail("'{}' object is not callable", type_name(callee));
  Depth depth(*this);
  return callee.host().call(*this, arguments);
}

void TextBuilder::work(size_t bytes) {
  constexpr size_t kAppendBytes = 8;  // what one append costs beside its bytes
  work_ += bytes + kAppendBytes;
  if (work_ >= 1024) {
    runtime_.step(work_ / 64);
    work_ = 0;
  }
}

void TextBuilder::append(MarkedView piece) {
  work(piece.size());
  size_t size = out_.text.size(), marks = out_.marks.capacity();
  if (size + piece.size() > out_.text.capacity()) runtime_.reserve(2 * size + piece.size());
  out_.append(piece);
  if (out_.marks.capacity() != marks) runtime_.reserve(size + out_.marks.capacity() * sizeof(TextSpan));
}

void TextBuilder::append_as(std::string_view piece, bool marked) {
  const Marks all{{0, piece.size()}};
  append(MarkedView(piece, marked ? &all : nullptr));
}

void TextBuilder::append(size_t count, char character) {
  runtime_.reserve(count);
  runtime_.reserve(count + out_.text.size());
  work(count);
  out_.text.append(count, character);
}

DictBuilder::DictBuilder(Runtime& runtime) : runtime_(runtime), object_(std::make_shared<DictObject>()) {}

void DictBuilder::set(const Value& key, const Value& value) {
  if (!hashable(runtime_, key)) runtime_.fail("unhashable type: '{}'", type_name(key));
  runtime_.step();
  auto& entries = object_->entries;
  if (Value* present = const_cast<Value*>(dict_find(runtime_, *object_, key))) {
    *present = value;
  } else {
    bytes_ += 2 * sizeof(Value) + 48;
    runtime_.reserve(bytes_);
    entries.emplace_back(key, value);
    if (entries.size() > kIndexedEntries) {
      size_t first = object_->index.empty() ? 0 : entries.size() - 1;
      for (size_t i = first; i < entries.size(); ++i)
        object_->index.emplace(hash(runtime_, entries[i].first), static_cast<uint32_t>(i));
    }
  }
  depth_ = std::max({depth_, key.depth(), value.depth()});
}

bool DictBuilder::has(const Value& key) const {
  if (!hashable(runtime_, key)) runtime_.fail("unhashable type: '{}'", type_name(key));
  return dict_find(runtime_, *object_, key) != nullptr;
}

Value DictBuilder::build() {
  runtime_.adopt(*object_, bytes_, depth_ + 1);
  return Value(Kind::kDict, std::move(object_));
}

Bound::Bound(Runtime& runtime, std::string_view function, const Arguments& arguments,
             std::initializer_list<std::string_view> names, size_t required)
    : runtime_(runtime), function_(function), names_(names), values_(names.size()) {
  if (arguments.positional.size() > names_.size())
    runtime.fail("{}() takes at most {} arguments, {} were given", function, names_.size(),
                 arguments.positional.size());
  for (size_t i = 0; i < arguments.positional.size(); ++i) values_[i] = &arguments.positional[i];
  for (const auto& [marked_name, value] : arguments.named) {
    const std::string& name = marked_name.text;
    size_t i = static_cast<size_t>(std::find(names_.begin(), names_.end(), name) - names_.begin());
    if (i == names_.size()) runtime.fail("{}() got an unexpected keyword argument '{}'", function, name);
    if (values_[i]) runtime.fail("{}() got multiple values for argument '{}'", function, name);
    values_[i] = &value;
  }
  for (size_t i = 0; i < required; ++i)
    if (!values_[i]) runtime.fail("{}() misses its argument '{}'", function, names_[i]);
}

int64_t Bound::integer(size_t i, int64_t fallback) const {
  if (!values_[i]) return fallback;
  if (values_[i]->is_undefined()) runtime_.fail("{}", values_[i]->text());
  if (!values_[i]->is_integral())
    runtime_.fail("{}(): argument '{}' must be an integer, not '{}'", function_, names_[i],
                  type_name(*values_[i]));
  return values_[i]->as_int();
}

const std::string& Bound::text(size_t i) const {
  if (!values_[i]->is_string())
    runtime_.fail("{}(): argument '{}' must be str, not '{}'", function_, names_[i], type_name(*values_[i]));
  return values_[i]->text();
}

bool iterable(const Value& value) {
  return length_of(value) || value.is(Kind::kIterator);
}

Cursor::Cursor(Runtime& runtime, Value iterable) : runtime_(runtime), iterable_(std::move(iterable)) {
  if (!jinja::iterable(iterable_)) runtime.fail("'{}' object is not iterable", type_name(iterable_));
}

bool Cursor::next(Value& item) {
  runtime_.step();
  switch (iterable_.kind()) {
    case Kind::kString: {
      const std::string& text = iterable_.text();
      if (position_ >= text.size()) return false;
      size_t begin = position_;
      decode_point(text, position_);
      item = runtime_.substring(iterable_.marked().substr(begin, position_ - begin));
      return true;
    }
    case Kind::kList:
    case Kind::kTuple: {
      const auto& items = iterable_.items();
      if (position_ >= items.size()) return false;
      item = items[position_++];
      return true;
    }
    case Kind::kDict: {
      const auto& entries = iterable_.dict().entries;
      if (position_ >= entries.size()) return false;
      item = entries[position_++].first;
      return true;
    }
    case Kind::kView: {
      const auto& entries = iterable_.view().dict.dict().entries;
      if (position_ >= entries.size()) return false;
      const auto& [key, value] = entries[position_++];
      ViewKind kind = iterable_.view().view;
      item = kind == ViewKind::kKeys ? key : kind == ViewKind::kValues ? value : runtime_.tuple({key, value});
      return true;
    }
    case Kind::kRange: {
      const RangeObject& range = iterable_.range();
      if (static_cast<int64_t>(position_) >= range.length) return false;
      item = Value::integer(range.start + static_cast<int64_t>(position_++) * range.step);
      return true;
    }
    case Kind::kIterator:
      return iterable_.iterator().next(item);
    default:
      return false;  // undefined is empty
  }
}

std::vector<Value> to_vector(Runtime& runtime, const Value& iterable) {
  std::vector<Value> items;
  Cursor cursor(runtime, iterable);
  for (Value item; cursor.next(item);) {
    items.push_back(std::move(item));
    if ((items.size() & (items.size() - 1)) == 0) runtime.reserve(2 * items.size() * sizeof(Value));
  }
  return items;
}

std::optional<int64_t> length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(value.string().length);
    case Kind::kList:
    case Kind::kTuple:
      return static_cast<int64_t>(value.items().size());
    case Kind::kDict:
      return static_cast<int64_t>(value.dict().entries.size());
    case Kind::kView:
      return static_cast<int64_t>(value.view().dict.dict().entries.size());
    case Kind::kRange:
      return value.range().length;
    default:
      return std::nullopt;
  }
}

}  // namespace reprise::tokenizer::jinja
