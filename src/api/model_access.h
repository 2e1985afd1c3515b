// The implementation of the opaque types of include/reprise/model.h, shared by the files of this folder that
// define their functions.
#pragma once

#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "core/json.h"
#include "core/tensor.h"
#include "models/model.h"
#include "models/weight_loader.h"
#include "reprise/model.h"

namespace reprise {

struct ValueAccess {
  static const Tensor& tensor(const Value& value) {
    return *std::launder(reinterpret_cast<const Tensor*>(value.storage_));
  }
  static Tensor& tensor(Value& value) { return *std::launder(reinterpret_cast<Tensor*>(value.storage_)); }
  static Value value(Tensor tensor) {
    Value value;
    ValueAccess::tensor(value) = std::move(tensor);
    return value;
  }
};

struct ConfigFields::Impl {
  Json document;
  std::string what;  // for errors
};

struct WeightReader::Impl {
  models::WeightLoader& loader;
  const weights::ModelConfig& config;
  ModelShape shape;
};

struct ModelInputs::Impl {
  const models::ForwardInput& forward;
  const weights::ModelConfig& config;
  const ModelFamily& family;

  // Throws Error where the family doesn't declare the name.
  const Tensor& input(std::string_view name) const;
};

}  // namespace reprise
