// A folder for the files of one test, and whole files by path.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace reprise::codegen {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "reprise_codegen_XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::vector<std::byte> bytes_of(std::string_view text) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

inline std::vector<std::byte> file_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return bytes_of(text);
}

// In place, so that owner and permissions stay.
inline void put_file(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  ASSERT_TRUE(out.flush());
}

// Names in a folder, sorted.
inline std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& item : std::filesystem::directory_iterator(folder))
    names.push_back(item.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

// Every way in which a file that was right can be damaged, with words for each.
template <typename Try>
void for_each_damage(const std::vector<std::byte>& good, const std::vector<std::byte>& neighbour,
                     Try&& attempt) {
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::vector<std::byte> damaged = good;
    damaged[bit / 8] ^= std::byte{1} << (bit % 8);
    attempt(damaged, "bit " + std::to_string(bit));
  }
  for (size_t size = 0; size < good.size(); ++size)
    attempt({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)},
            "cut to " + std::to_string(size));
  for (const size_t more : {size_t{1}, size_t{8}, size_t{16}, size_t{4096}}) {
    std::vector<std::byte> longer = good;
    longer.insert(longer.end(), more, std::byte{0});
    attempt(longer, "lengthened by " + std::to_string(more));
  }
  uint32_t state = 1;
  for (int round = 0; round < 20; ++round) {
    std::vector<std::byte> noise(good.size());
    for (std::byte& byte : noise) byte = static_cast<std::byte>((state = state * 1664525 + 1013904223) >> 24);
    attempt(noise, "noise");
  }
  attempt(neighbour, "the neighbour");
}

}  // namespace reprise::codegen
