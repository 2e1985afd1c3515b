// Value and Layer of the public API: a tensor and a layer's scope inside opaque storage.
#include <fmt/format.h>

#include <new>

#include "api/model_access.h"
#include "core/launch.h"

namespace reprise {

// The sizes of the public types are part of the ABI; the spare bytes let what they hold grow.
constexpr size_t kSpareBytes = 64;
static_assert(sizeof(Tensor) + kSpareBytes <= sizeof(Value) && alignof(Tensor) <= alignof(Value));
static_assert(sizeof(LayerScope) + kSpareBytes <= sizeof(Layer) && alignof(LayerScope) <= alignof(Layer));

Value::Value() {
  new (storage_) Tensor();
}
Value::Value(const Value& other) {
  new (storage_) Tensor(ValueAccess::tensor(other));
}
Value::Value(Value&& other) noexcept {
  new (storage_) Tensor(std::move(ValueAccess::tensor(other)));
}
Value& Value::operator=(const Value& other) {
  ValueAccess::tensor(*this) = ValueAccess::tensor(other);
  return *this;
}
Value& Value::operator=(Value&& other) noexcept {
  ValueAccess::tensor(*this) = std::move(ValueAccess::tensor(other));
  return *this;
}
Value::~Value() {
  ValueAccess::tensor(*this).~Tensor();
}

Value::operator bool() const {
  return static_cast<bool>(ValueAccess::tensor(*this));
}

int64_t Value::columns() const {
  const Shape& shape = ValueAccess::tensor(*this).shape;
  return shape.rank() == 0 ? 0 : shape.row_elements();
}

std::string Value::to_string() const {
  const Tensor& tensor = ValueAccess::tensor(*this);
  return tensor ? fmt::format("{} {}", name_of(tensor.dtype), reprise::to_string(tensor.shape)) : "nothing";
}

Layer::Layer(std::string_view path) {
  new (storage_) LayerScope(path);
}
Layer::~Layer() {
  std::launder(reinterpret_cast<LayerScope*>(storage_))->~LayerScope();
}

}  // namespace reprise
