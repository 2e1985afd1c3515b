// A projection: packed weight and optional bias.
#pragma once

#include <string>

#include "models/weight_loader.h"
#include "ops/matmul.h"

namespace reprise::models {

class Linear {
 public:
  Linear() = default;
  // Loads "<prefix>.weight" [out, in] and, with `bias`, "<prefix>.bias" [out].
  Linear(WeightLoader& loader, const std::string& prefix, int64_t out, int64_t in, bool bias)
      : weight_(loader.matrix(prefix + ".weight", out, in)),
        bias_(bias ? loader.vector(prefix + ".bias", out) : Tensor{}) {}

  // [rows, in] -> [rows, out]. `where` is the caller's line: this one says nothing about a graph's node.
  Tensor operator()(const Tensor& x, ops::Where where = ops::Where::current()) const {
    return ops::matmul(x, weight_, bias_, x.dtype, where);
  }

 private:
  Tensor weight_;
  Tensor bias_;
};

}  // namespace reprise::models
