// Builds safetensors and GGUF bytes, right and wrong, for the tests of their readers.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::weights {

template <typename T>
void append(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

inline std::string float_bytes(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

// A safetensors file of a header as given and some data.
inline std::string safetensors(std::string_view header, std::string_view data) {
  std::string file;
  append<uint64_t>(file, header.size());
  return file.append(header).append(data);
}

class GgufBuilder {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;

  GgufBuilder& raw_value(std::string_view key, uint32_t type, std::string_view bytes) {
    string(values_, key);
    append<uint32_t>(values_, type);
    values_.append(bytes);
    ++value_count_;
    return *this;
  }
  GgufBuilder& u32(std::string_view key, uint32_t value) { return scalar(key, 4, value); }
  GgufBuilder& f32(std::string_view key, float value) { return scalar(key, 6, value); }
  GgufBuilder& boolean(std::string_view key, bool value) { return scalar<uint8_t>(key, 7, value); }
  GgufBuilder& text(std::string_view key, std::string_view value) {
    std::string bytes;
    string(bytes, value);
    return raw_value(key, 8, bytes);
  }
  GgufBuilder& texts(std::string_view key, const std::vector<std::string>& values) {
    std::string bytes;
    append<uint32_t>(bytes, 8);
    append<uint64_t>(bytes, values.size());
    for (const std::string& value : values) string(bytes, value);
    return raw_value(key, 9, bytes);
  }
  template <typename T>
  GgufBuilder& numbers(std::string_view key, uint32_t element, const std::vector<T>& values) {
    std::string bytes;
    append<uint32_t>(bytes, element);
    append<uint64_t>(bytes, values.size());
    for (T value : values) append(bytes, value);
    return raw_value(key, 9, bytes);
  }

  // `dims`: the contiguous one first, as in the file. Placed after the tensors before it.
  GgufBuilder& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                      std::string_view data) {
    tensor_at(name, dims, type, data_.size());
    data_.append(data);
    data_.resize((data_.size() + alignment - 1) / alignment * alignment);
    return *this;
  }
  GgufBuilder& tensor_at(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                         uint64_t offset) {
    string(tensors_, name);
    append<uint32_t>(tensors_, static_cast<uint32_t>(dims.size()));
    for (uint64_t dim : dims) append(tensors_, dim);
    append(tensors_, type);
    append(tensors_, offset);
    ++tensor_count_;
    return *this;
  }
  GgufBuilder& claim(uint64_t tensors, uint64_t values) {
    tensor_count_ = tensors;
    value_count_ = values;
    return *this;
  }

  std::string build() const {
    std::string file = "GGUF";
    append(file, version);
    append(file, tensor_count_);
    append(file, value_count_);
    file += values_ + tensors_;
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data_;
  }

 private:
  static void string(std::string& out, std::string_view value) {
    append<uint64_t>(out, value.size());
    out.append(value);
  }
  template <typename T>
  GgufBuilder& scalar(std::string_view key, uint32_t type, T value) {
    std::string bytes;
    append(bytes, value);
    return raw_value(key, type, bytes);
  }

  std::string values_, tensors_, data_;
  uint64_t value_count_ = 0, tensor_count_ = 0;
};

// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "reprise-weights-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(std::string_view name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// The message of the Error that `action` throws; "" when it throws none.
template <typename Error, typename Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace reprise::weights
