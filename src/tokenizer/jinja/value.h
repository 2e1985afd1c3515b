// Values of a running template, with Python's types and identities: what jinja2 hands around as Python
// objects. Scalars live in the Value; everything else is an immutable, reference-counted heap object (only
// namespaces, loops and variable frames change after they are made; Runtime breaks their cycles at the end of
// a render).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tokenizer/jinja/marked_text.h"

namespace reprise::tokenizer::jinja {

class Runtime;
class Value;

enum class Kind : uint8_t {
  kMissing,  // an unset variable slot; never seen by a template
  kUndefined,
  kNone,
  kBool,
  kInt,
  kBigInt,  // beyond 64 bits: decimal digits of the caller's JSON
  kFloat,
  kString,
  kList,
  kTuple,
  kDict,
  kRange,
  kView,      // dict.keys(), dict.values(), dict.items()
  kIterator,  // a generator: yields each item once
  kHost,      // macros, functions, namespaces, loops: see HostObject
};

// Live bytes of one render. Objects give their bytes back when they die.
struct Budget {
  size_t used = 0;
  size_t limit = SIZE_MAX;
};

struct HeapObject {
  HeapObject() = default;
  HeapObject(const HeapObject&) = delete;
  HeapObject& operator=(const HeapObject&) = delete;
  virtual ~HeapObject() {
    if (budget) budget->used -= bytes;
  }

  Budget* budget = nullptr;  // null for constants of the parsed template
  size_t bytes = 0;
  int depth = 0;  // nesting of values below; capped, so that recursion over values is bounded
};

struct StringObject;
struct ListObject;
struct DictObject;
struct RangeObject;
struct ViewObject;
struct IteratorObject;
class HostObject;

class Value {
 public:
  Value() = default;  // missing
  static Value none() { return Value(Kind::kNone); }
  static Value boolean(bool value);
  static Value integer(int64_t value);
  static Value real(double value);
  Value(Kind kind, std::shared_ptr<const HeapObject> object) : kind_(kind), object_(std::move(object)) {}

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_number() const { return kind_ == Kind::kBool || kind_ == Kind::kInt || kind_ == Kind::kFloat; }
  bool is_integral() const { return kind_ == Kind::kBool || kind_ == Kind::kInt; }
  bool is_sequence() const { return kind_ == Kind::kList || kind_ == Kind::kTuple; }

  bool as_bool() const { return integer_ != 0; }  // kBool
  int64_t as_int() const { return integer_; }     // kBool and kInt
  double as_double() const;                       // any number
  const std::string& text() const;                // kString; digits of kBigInt; message of kUndefined
  MarkedView marked() const;                      // kString: the text with its marks
  const std::vector<Value>& items() const;        // kList and kTuple
  const StringObject& string() const;             // kString
  const DictObject& dict() const;                 // kDict
  const RangeObject& range() const;               // kRange
  const ViewObject& view() const;                 // kView
  IteratorObject& iterator() const;               // kIterator
  HostObject& host() const;                       // kHost
  template <typename T>
  T* host_as() const;  // the host object when it is a T, else null
  int depth() const { return object_ ? object_->depth : 0; }
  const HeapObject* identity() const { return object_.get(); }
  std::shared_ptr<const HeapObject> share() const { return object_; }

 private:
  explicit Value(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::kMissing;
  union {
    int64_t integer_ = 0;
    double real_;
  };
  std::shared_ptr<const HeapObject> object_;
};

struct StringObject : HeapObject {
  std::string text;                    // valid UTF-8
  size_t length = 0;                   // code points
  std::unique_ptr<const Marks> marks;  // what people and tools wrote of it; null when nothing is marked
  bool ascii() const { return length == text.size(); }
};

struct ListObject : HeapObject {
  std::vector<Value> items;
};

// Insertion-ordered, keys by Python's equality (1 == 1.0 == True).
struct DictObject : HeapObject {
  std::vector<std::pair<Value, Value>> entries;
  std::unordered_multimap<size_t, uint32_t>
      index;  // hash to entry; filled by DictBuilder beyond a few entries
};

struct RangeObject : HeapObject {
  int64_t start = 0, stop = 0, step = 1;
  int64_t length = 0;
};

enum class ViewKind : uint8_t { kKeys, kValues, kItems };

struct ViewObject : HeapObject {
  Value dict;
  ViewKind view = ViewKind::kKeys;
};

struct IteratorObject : HeapObject {
  std::string_view type_name;
  mutable std::function<bool(Value&)> next;  // false once exhausted
};

// The name is marked when it comes from a dict that a person or tool wrote (`**message.arguments`).
struct NamedArgument {
  MarkedText name;
  Value value;
};

// Positional and keyword arguments of one call, in source order.
struct Arguments {
  std::vector<Value> positional;
  std::vector<NamedArgument> named;
};

// An object with behaviour of its own. `attribute` is what Python's getattr would find; absent means
// AttributeError.
class HostObject : public HeapObject {
 public:
  virtual std::string_view type_name() const = 0;
  virtual MarkedText repr(Runtime& runtime) const;
  virtual std::optional<Value> attribute(Runtime& runtime, const Value& self, std::string_view name);
  virtual bool callable() const { return false; }
  virtual Value call(Runtime& runtime, Arguments& arguments);
};

template <typename T>
T* Value::host_as() const {
  return kind_ == Kind::kHost ? dynamic_cast<T*>(&host()) : nullptr;
}

inline Value Value::boolean(bool value) {
  Value result(Kind::kBool);
  result.integer_ = value;
  return result;
}
inline Value Value::integer(int64_t value) {
  Value result(Kind::kInt);
  result.integer_ = value;
  return result;
}
inline Value Value::real(double value) {
  Value result(Kind::kFloat);
  result.real_ = value;
  return result;
}
inline double Value::as_double() const {
  return kind_ == Kind::kFloat ? real_ : static_cast<double>(integer_);
}
inline const StringObject& Value::string() const {
  return static_cast<const StringObject&>(*object_);
}
inline const std::string& Value::text() const {
  return string().text;
}
inline MarkedView Value::marked() const {
  return {string().text, string().marks.get()};
}
inline const std::vector<Value>& Value::items() const {
  return static_cast<const ListObject&>(*object_).items;
}
inline const DictObject& Value::dict() const {
  return static_cast<const DictObject&>(*object_);
}
inline const RangeObject& Value::range() const {
  return static_cast<const RangeObject&>(*object_);
}
inline const ViewObject& Value::view() const {
  return static_cast<const ViewObject&>(*object_);
}
inline IteratorObject& Value::iterator() const {
  return const_cast<IteratorObject&>(static_cast<const IteratorObject&>(*object_));
}
inline HostObject& Value::host() const {
  return const_cast<HostObject&>(static_cast<const HostObject&>(*object_));
}

// A string that belongs to no render: constants of the parsed template.
Value constant_string(std::string text);

// Python's name of the type ("NoneType", "str").
std::string_view type_name(const Value& value);
// `type_name` as jinja2's messages about undefined values say it ("dict object", "None").
std::string describe_type(const Value& value);
// Python's bool(value).
bool truthy(const Value& value);

}  // namespace reprise::tokenizer::jinja
