// Two models have one fingerprint where the bits of their replies are the same by contract, and two where any number
// of their weights or settings differs.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "core/json.h"
#include "reprise/reprise.h"
#include "source_dir.h"

namespace reprise {
namespace {

namespace fs = std::filesystem;

std::string read_all(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_all(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// The repository's model in a folder of its own, to be changed.
class FingerprintTest : public testing::Test {
 protected:
  FingerprintTest() : folder_(fs::temp_directory_path() / fmt::format("reprise-fingerprint-{}", getpid())) {
    fs::remove_all(folder_);
    fs::create_directory(folder_);
    for (const auto& entry : fs::directory_iterator(REPRISE_SOURCE_DIR "/models/tiny"))
      fs::copy(entry.path(), folder_);
    bytes_ = read_all(weights());
    uint64_t header = 0;
    std::memcpy(&header, bytes_.data(), sizeof header);
    data_begin_ = 8 + header;
    header_ = Json::parse(bytes_.substr(8, header));
    header_.erase("__metadata__");
  }
  ~FingerprintTest() override { fs::remove_all(folder_); }

  fs::path weights() const { return folder_ / "model.safetensors"; }
  std::string fingerprint(LoadOptions options = {}) const {
    options.model = folder_.string();
    options.num_gpu_blocks_override = 16;
    return LanguageModel::load(options).info().fingerprint;
  }
  // Of the tensor, in the file.
  size_t begin_of(const std::string& name) const {
    return data_begin_ + header_[name]["data_offsets"][0].get<size_t>();
  }
  size_t end_of(const std::string& name) const {
    return data_begin_ + header_[name]["data_offsets"][1].get<size_t>();
  }
  // A file of these tensors, in this order.
  void write_shard(const std::string& file, const std::vector<std::string>& names) const {
    Json header = Json::object();
    std::string data;
    for (const std::string& name : names) {
      Json about = header_[name];
      about["data_offsets"] = {data.size(), data.size() + end_of(name) - begin_of(name)};
      header[name] = about;
      data += bytes_.substr(begin_of(name), end_of(name) - begin_of(name));
    }
    const std::string text = header.dump();
    const uint64_t size = text.size();
    write_all(folder_ / file, std::string(reinterpret_cast<const char*>(&size), 8) + text + data);
  }

  const fs::path folder_;
  std::string bytes_;
  size_t data_begin_ = 0;
  Json header_;
};

TEST_F(FingerprintTest, IsTheSameForTheSameNumbersHoweverTheyAreStoredAndLoaded) {
  const std::string same = fingerprint();
  EXPECT_EQ(fingerprint(), same);
  EXPECT_EQ(fingerprint({.threads = 3}), same);
  EXPECT_EQ(fingerprint({.max_num_seqs = 3, .block_size = 32}), same);
  std::vector<std::string> names;
  for (const auto& [name, about] : header_.items()) names.insert(names.begin(), name);  // the last one first
  const size_t half = names.size() / 2;
  fs::remove(weights());
  write_shard("b.safetensors", {names.begin(), names.begin() + static_cast<std::ptrdiff_t>(half)});
  write_shard("a.safetensors", {names.begin() + static_cast<std::ptrdiff_t>(half), names.end()});
  EXPECT_EQ(fingerprint(), same) << "other files, in another order";
}

TEST_F(FingerprintTest, DiffersWithAnyWeight) {
  std::set<std::string> seen = {fingerprint()};
  size_t expected = 1;
  for (const auto& [name, about] : header_.items())
    for (const size_t at :
         {begin_of(name), (begin_of(name) + end_of(name)) / 2 & ~size_t{3}, end_of(name) - 4}) {
      std::string changed = bytes_;
      changed[at] = static_cast<char>(changed[at] ^ 1);  // the lowest bit of a number
      write_all(weights(), changed);
      seen.insert(fingerprint());
      EXPECT_EQ(seen.size(), ++expected) << name << " at " << at - begin_of(name);
    }
  // Two rows change places.
  std::string swapped = bytes_;
  const std::string name = "model.embed_tokens.weight";
  const size_t row = (end_of(name) - begin_of(name)) / header_[name]["shape"][0].get<size_t>();
  std::swap_ranges(swapped.begin() + static_cast<std::ptrdiff_t>(begin_of(name)),
                   swapped.begin() + static_cast<std::ptrdiff_t>(begin_of(name) + row),
                   swapped.begin() + static_cast<std::ptrdiff_t>(begin_of(name) + 7 * row));
  write_all(weights(), swapped);
  EXPECT_TRUE(seen.insert(fingerprint()).second);
}

TEST_F(FingerprintTest, DiffersWithWhatElseChangesBits) {
  std::set<std::string> seen = {fingerprint({.dtype = "float32"}), fingerprint({.dtype = "bfloat16"}),
                                fingerprint({.dtype = "float32", .isa = "scalar"}),
                                fingerprint({.dtype = "float32", .max_partition_size = 64})};
  EXPECT_EQ(seen.size(), 4u);
  const Json config = Json::parse(read_all(folder_ / "config.json"));
  size_t expected = seen.size();
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, Json>>{
           {"rms_norm_eps", 0.25}, {"rope_parameters", {{"rope_theta", 77.0}, {"rope_type", "default"}}}}) {
    Json changed = config;
    changed[name] = value;
    write_all(folder_ / "config.json", changed.dump());
    seen.insert(fingerprint({.dtype = "float32"}));
    EXPECT_EQ(seen.size(), ++expected) << name;
  }
}

}  // namespace
}  // namespace reprise
