// Checkpoints in safetensors form, in one file or in shards with an index.
#pragma once

#include <filesystem>
#include <memory>

#include "weights/checkpoint.h"

namespace reprise::weights {

// Looks for model.safetensors.index.json, then model.safetensors, then every *.safetensors of the folder.
// Throws Error when an index names a file or a tensor that is not there, or when two shards hold the same
// tensor.
std::unique_ptr<Checkpoint> open_safetensors_folder(const std::filesystem::path& folder);
std::unique_ptr<Checkpoint> open_safetensors_file(const std::filesystem::path& file);

}  // namespace reprise::weights
