#include "weights/mapped_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "core/error.h"
#include "tests/weights/file_builders.h"
#include "weights/checkpoint.h"

namespace reprise::weights {
namespace {

constexpr size_t kPages = 64, kPage = 4096;

size_t zeros(const MappedFile& file) {
  return static_cast<size_t>(std::ranges::count(file.bytes(), std::byte{0}));
}

TEST(MappedFile, AWholeFilePasses) {
  const TemporaryFolder folder;
  const MappedFile file(folder.write("data", std::string(kPages * kPage, 'x')));
  EXPECT_EQ(zeros(file), 0u);
  file.check();
}

TEST(MappedFile, PagesThatWereCutReadAsZerosAndAreNoticed) {
  const TemporaryFolder folder;
  const auto path = folder.write("data", std::string(kPages * kPage, 'x'));
  const MappedFile file(path);
  std::filesystem::resize_file(path, 3 * kPage);
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < 4; ++i) readers.emplace_back([&] { EXPECT_EQ(zeros(file), (kPages - 3) * kPage); });
  }
  // Also where the file has grown back since, as it does when it is written anew.
  std::filesystem::resize_file(path, kPages * kPage);
  EXPECT_THROW(file.check(), Error);
}

TEST(MappedFile, ACutWithinTheLastPageIsNoticed) {
  const TemporaryFolder folder;
  const auto path = folder.write("data", std::string(kPage, 'x'));
  const MappedFile file(path);
  std::filesystem::resize_file(path, kPage - 1);
  EXPECT_EQ(zeros(file), 1u);
  EXPECT_THROW(file.check(), Error);
}

TEST(MappedFile, OneLostFileDoesNotSpeakForTheNext) {
  const TemporaryFolder folder;
  const auto path = folder.write("data", std::string(kPages * kPage, 'x'));
  {
    const MappedFile file(path);
    std::filesystem::resize_file(path, 0);
    EXPECT_EQ(zeros(file), kPages * kPage);
  }
  std::filesystem::resize_file(path, kPage);
  MappedFile(path).check();
}

TEST(MappedFile, AForeignSigbusStillEndsTheProcess) {
  const TemporaryFolder folder;
  const MappedFile file(folder.write("data", "x"));
  EXPECT_DEATH(std::raise(SIGBUS), "");
  const auto other = folder.write("other", std::string(kPage, 'x'));
  const auto fault = [&] {
    const int fd = ::open(other.c_str(), O_RDONLY);
    const void* mapping = ::mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE, fd, 0);
    std::filesystem::resize_file(other, 0);
    std::exit(*static_cast<const volatile char*>(mapping));
  };
  EXPECT_DEATH(fault(), "");
}

TEST(MappedFile, ACheckpointThatIsCutWhileItIsReadIsAnError) {
  const TemporaryFolder folder;
  const std::string data(64 * kPage, '\1');
  const auto safetensors_path =
      folder.write("model.safetensors",
                   safetensors(R"({"w":{"dtype":"F32","shape":[65536],"data_offsets":[0,262144]}})", data));
  const auto gguf_path = folder.write("model.gguf", GgufBuilder().tensor("w", {65536}, 0, data).build());
  for (const auto& path : {safetensors_path, gguf_path}) {
    const auto checkpoint = Checkpoint::open(path);
    std::filesystem::resize_file(path, 2 * kPage);
    const std::vector<float> values = checkpoint->read_f32("w");
    EXPECT_EQ(values.back(), 0.0f);
    try {
      checkpoint->release("w");
      ADD_FAILURE() << path << " was not found to be cut";
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr(path.string()), testing::HasSubstr("was cut")));
    }
  }
}

}  // namespace
}  // namespace reprise::weights
