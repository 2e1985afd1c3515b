// Reader of GGUF, versions 2 and 3, little-endian: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
//
// Opening reads the metadata and the list of tensors once, in linear time. Before anything is allocated by a
// count of the file it is compared with a limit (kMax... in gguf.cc) and with what the bytes that are left
// can hold.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "weights/mapped_file.h"
#include "weights/tensor_info.h"

namespace reprise::weights {

enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

// One metadata value, still as the bytes of the file.
struct GgufValue {
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;  // of an array
  uint64_t count = 1;               // elements of an array
  std::span<const std::byte> bytes;
};

// Metadata with typed access. Strings are views into the mapped file. Each getter returns nullopt when the
// key is absent and throws Error when the value has another type. An integer of any width is an integer, any
// number is a double.
class GgufMetadata {
 public:
  GgufMetadata() = default;
  GgufMetadata(std::string what, std::map<std::string, GgufValue, std::less<>> values)
      : what_(std::move(what)), values_(std::move(values)) {}

  bool has(std::string_view key) const { return values_.find(key) != values_.end(); }
  const std::map<std::string, GgufValue, std::less<>>& values() const { return values_; }
  const std::string& what() const { return what_; }  // the file, for errors

  std::optional<std::string_view> string(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;
  // An integer, or a list whose integers are all the same, as some writers give one for each layer. Throws
  // Error, naming the key, when they differ.
  std::optional<int64_t> uniform_integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<std::vector<std::string_view>> strings(std::string_view key) const;
  std::optional<std::vector<int64_t>> integers(std::string_view key) const;
  std::optional<std::vector<float>> floats(std::string_view key) const;

 private:
  const GgufValue* find(std::string_view key) const;
  [[noreturn]] void wrong_type(std::string_view key, const GgufValue& value, std::string_view expected) const;

  std::string what_;
  std::map<std::string, GgufValue, std::less<>> values_;
};

struct GgufContents {
  uint32_t version = 0;
  GgufMetadata metadata;
  std::map<std::string, FileTensor, std::less<>> tensors;  // names as in the file, shapes row-major
};

// `data` is the whole file and must outlive the result; `what` is its path, for errors. Throws Error on
// anything malformed and on what is above the limits.
GgufContents parse_gguf(std::span<const std::byte> data, const std::string& what);

// Immutable after construction: safe from any number of threads.
class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path)
      : file_(path), contents_(parse_gguf(file_.bytes(), file_.path())) {
    file_.check();
  }
  const GgufMetadata& metadata() const { return contents_.metadata; }
  const std::map<std::string, FileTensor, std::less<>>& tensors() const { return contents_.tensors; }
  uint32_t version() const { return contents_.version; }
  const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  GgufContents contents_;
};

// Whether the file begins with the magic of GGUF. False for anything unreadable.
bool is_gguf_file(const std::filesystem::path& path);

}  // namespace reprise::weights
