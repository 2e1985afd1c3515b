#include "weights/checkpoint.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"
#include "core/file_kind.h"
#include "weights/gguf.h"
#include "weights/gguf_checkpoint.h"
#include "weights/safetensors_checkpoint.h"

namespace reprise::weights {
namespace {

// Length of the common prefix plus that of the common suffix: names of tensors differ in a layer number or a
// word.
size_t likeness(std::string_view a, std::string_view b) {
  const size_t shorter = std::min(a.size(), b.size());
  size_t prefix = 0;
  while (prefix < shorter && a[prefix] == b[prefix]) ++prefix;
  size_t suffix = 0;
  while (suffix < shorter - prefix && a[a.size() - 1 - suffix] == b[b.size() - 1 - suffix]) ++suffix;
  return prefix + suffix;
}

}  // namespace

std::unique_ptr<Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return open_safetensors_folder(path);
  if (!std::filesystem::exists(path, ignored))
    throw Error("cannot open {}: no such file or folder; expected a Hugging Face folder or a .gguf file",
                path.string());
  if (is_gguf_file(path) || path.extension() == ".gguf") return std::make_unique<GgufCheckpoint>(path);
  if (path.extension() == ".safetensors") return open_safetensors_file(path);
  refuse_wrong_file(path);
  throw Error(
      "{} is neither a GGUF file nor a .safetensors file; expected one of them or a Hugging Face folder",
      path.string());
}

std::vector<float> Checkpoint::read_f32(std::string_view name) const {
  const TensorInfo& tensor = info(name);
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  read_rows_f32(name, 0, tensor.rows(), values.data());
  return values;
}

const TensorInfo& Checkpoint::expect(std::string_view name, std::span<const int64_t> shape) const {
  const TensorInfo& tensor = info(name);
  if (!std::ranges::equal(tensor.shape, shape))
    throw Error(
        "{}: tensor '{}' has shape {}, the config asks for {}; config and weights belong to different models",
        description(), name, shape_text(tensor.shape), shape_text(shape));
  return tensor;
}

int64_t Checkpoint::parameter_count() const {
  int64_t sum = 0;
  for (const std::string& name : names()) sum += info(name).elements();
  return sum;
}

void throw_missing_tensor(const std::string& where, std::string_view name,
                          const std::vector<std::string>& names) {
  std::vector<std::string_view> closest(names.begin(), names.end());
  const size_t shown = std::min<size_t>(3, closest.size());
  std::partial_sort(closest.begin(), closest.begin() + static_cast<ptrdiff_t>(shown), closest.end(),
                    [&](auto a, auto b) { return likeness(a, name) > likeness(b, name); });
  closest.resize(shown);
  throw Error("{}: no tensor '{}' among {}{}; the checkpoint is incomplete or of another architecture", where,
              name, names.size(),
              closest.empty() ? std::string() : fmt::format(" (closest: {})", fmt::join(closest, ", ")));
}

}  // namespace reprise::weights
