// Reader of safetensors files: https://github.com/huggingface/safetensors#format, an 8-byte little-endian
// header length, a JSON header, the data.
//
// The whole header is checked on opening: every range lies inside the file, none overlap, and together they
// cover the data without a hole, as the format demands.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "weights/mapped_file.h"
#include "weights/tensor_info.h"

namespace reprise::weights {

// The tensors of one file, by name. `data` is the whole file and must outlive the result; `what` is its path,
// for errors. Throws Error on everything that the format forbids, and on more tensors, dimensions or longer
// names than any real file has (kMax... in safetensors.cc). The data of tensors is not read.
std::map<std::string, FileTensor, std::less<>> parse_safetensors(std::span<const std::byte> data,
                                                                 std::string_view what);

// Immutable after construction: safe from any number of threads.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, FileTensor, std::less<>>& tensors() const { return tensors_; }
  const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  std::map<std::string, FileTensor, std::less<>> tensors_;
};

}  // namespace reprise::weights
