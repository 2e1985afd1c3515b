// The interface to every source of weights: a Hugging Face folder, a GGUF file, or random numbers. Models ask
// for tensors by the names of Hugging Face's causal language models, whatever the source is.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/tensor_info.h"

namespace reprise::weights {

// Threads: all members are const and may be called from any number of threads; rows of one tensor may be read
// while another tensor is released.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;

  // `path`: a folder with model.safetensors.index.json, model.safetensors or any *.safetensors; or one
  // .safetensors file; or one .gguf file. Tensors of a base model ("layers.0..." without "model.") get the
  // usual names. Throws Error, saying what was looked for and what was found instead, when there is none or
  // it is damaged.
  static std::unique_ptr<Checkpoint> open(const std::filesystem::path& path);

  virtual bool has(std::string_view name) const = 0;
  // Type and shape, [out, in] for a projection. Throws Error, naming similar tensors, when absent.
  virtual const TensorInfo& info(std::string_view name) const = 0;
  virtual std::vector<std::string> names() const = 0;

  // Rows [begin, end) as f32 into `out`, (end - begin) * columns floats; a vector is one row. Throws Error,
  // naming the tensor and its type, when the stored type cannot be turned into f32.
  virtual void read_rows_f32(std::string_view name, int64_t begin, int64_t end, float* out) const = 0;

  // The stored bytes of one row, info(name).row_bytes() of them at any alignment; nullptr where the rows
  // exist only as computed numbers (random weights, reordered vectors of a GGUF file).
  virtual const std::byte* row_bytes(std::string_view name, int64_t row) const = 0;

  // The whole tensor as stored, contiguous and row-major, when its type is f32, f16 or bf16 and its rows lie
  // in order.
  virtual std::optional<std::span<const std::byte>> raw(std::string_view name) const = 0;

  // Call after the last read of a tensor and before its numbers are used: its pages leave resident memory
  // (reading it again brings them back). Throws Error when the file was cut meanwhile, since what was read
  // may be zeros.
  virtual void release(std::string_view name) const = 0;

  // Where the weights come from, for messages.
  virtual std::string description() const = 0;

  // The whole tensor as f32.
  std::vector<float> read_f32(std::string_view name) const;
  // info(name), after checking its shape. Throws Error with both shapes when they differ.
  const TensorInfo& expect(std::string_view name, std::span<const int64_t> shape) const;
  // Sum of the elements of all tensors.
  int64_t parameter_count() const;
};

// The error of info() for a name that is not there: lists the closest of `names`.
[[noreturn]] void throw_missing_tensor(const std::string& where, std::string_view name,
                                       const std::vector<std::string>& names);

}  // namespace reprise::weights
