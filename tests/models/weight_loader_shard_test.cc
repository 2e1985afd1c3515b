// Matrices that ranks share and stacks of matrices: byte for byte what the matrices are by themselves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "core/error.h"
#include "device/cpu/weight_packer.h"
#include "kernels/cpu/pack.h"
#include "models/weight_loader.h"
#include "tests/device/host_mirror_device.h"
#include "tests/weights/file_builders.h"
#include "weights/dummy_checkpoint.h"

namespace reprise::models {
namespace {

using testing::HasSubstr;
using weights::error_of;
using Bytes = std::vector<std::byte>;

constexpr int64_t kPanel = 32;
// 5 panels, the last of 3 rows; more than one claim of a worker.
constexpr int64_t kN = 4 * kPanel + 3, kK = 37;

// Random numbers that note which rows were read.
class NotedReads final : public weights::DummyCheckpoint {
 public:
  using DummyCheckpoint::DummyCheckpoint;
  void read_rows_f32(std::string_view name, int64_t begin, int64_t end, float* out) const override {
    DummyCheckpoint::read_rows_f32(name, begin, end, out);
    const std::lock_guard lock(mutex_);
    rows.resize(static_cast<size_t>(info(name).rows()));
    for (int64_t row = begin; row < end; ++row) ++rows[static_cast<size_t>(row)];
  }
  mutable std::vector<int> rows;  // how often each was read

 private:
  mutable std::mutex mutex_;
};

// A loader with all that it needs. Memory is read through the device, so the host need not see it.
class Rig {
 public:
  Rig(const weights::Checkpoint* source, DType dtype, Shard shard = {}, Device* device = nullptr)
      : space_(device == nullptr ? host_memory() : device->memory()),
        store_(BufferKind::weight, space_),
        loader(source, store_, packer_, team_, dtype, shard) {}

  Bytes bytes(const Tensor& tensor) const {
    Bytes out(static_cast<size_t>(tensor.extent().constant));
    space_.download(out.data(), tensor.data(), out.size());
    return out;
  }

 private:
  ThreadTeam team_{2};
  CpuWeightPacker packer_;
  MemorySpace& space_;
  HeapStore store_;

 public:
  WeightLoader loader;
};

Bytes packed_rows(const weights::Checkpoint& source, const std::string& name, int64_t first, int64_t n,
                  int64_t k, DType dtype) {
  const std::vector<float> values = source.read_f32(name);
  Bytes out(kernels::cpu::packed_bytes(dtype, n, k));
  kernels::cpu::pack_rows(dtype, values.data() + first * k, 0, n, n, k, out.data());
  return out;
}

std::string dtype_of(const testing::TestParamInfo<DType>& info) {
  return std::string(name_of(info.param));
}

class WeightShard : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(All, WeightShard, testing::Values(DType::f32, DType::bf16), dtype_of);

TEST_P(WeightShard, TheRanksPanelsAreTheWhole) {
  for (const int64_t n : {kN, int64_t{160}, int64_t{257}}) {
    const weights::DummyCheckpoint source({{"w", {n, kK}}});
    const Bytes whole = packed_rows(source, "w", 0, n, kK, GetParam());
    for (int world = 1; world <= 5; ++world) {
      Bytes joined;
      int64_t rows = 0, least = n, most = 0;
      for (int rank = 0; rank < world; ++rank) {
        const NotedReads noted({{"w", {n, kK}}});
        Rig rig(&noted, GetParam(), {.rank = rank, .world = world});
        const Tensor part = rig.loader.matrix("w", n, kK, Split::rows);
        const int64_t own = part.shape[0].constant;
        EXPECT_EQ(part.shape, (Shape{own, kK}));
        // It read its rows, once each, and no others.
        for (int64_t row = 0; row < n; ++row)
          ASSERT_EQ(noted.rows[static_cast<size_t>(row)], rows <= row && row < rows + own ? 1 : 0)
              << "row " << row << " by rank " << rank << " of " << world;
        rows += own;
        const int64_t panels = (own + kPanel - 1) / kPanel;
        EXPECT_LE(panels, least) << "a later rank has more";
        least = std::min(least, panels);
        most = std::max(most, panels);
        const Bytes bytes = rig.bytes(part);
        joined.insert(joined.end(), bytes.begin(), bytes.end());
        EXPECT_EQ(rig.loader.requested()[0].second, (std::vector<int64_t>{n, kK}));
      }
      EXPECT_EQ(rows, n);
      EXPECT_LE(most - least, 1);
      EXPECT_TRUE(joined == whole) << n << " rows over " << world << " ranks";
    }
  }
}

TEST_P(WeightShard, WithoutASplitEveryRankHasAll) {
  const weights::DummyCheckpoint source({{"w", {kN, kK}}});
  Rig rig(&source, GetParam(), {.rank = 1, .world = 3});
  const Tensor all = rig.loader.matrix("w", kN, kK);
  EXPECT_EQ(all.shape, (Shape{kN, kK}));
  EXPECT_TRUE(rig.bytes(all) == packed_rows(source, "w", 0, kN, kK, GetParam()));
}

TEST(WeightShardErrors, ARankWithoutAPanelIsRefused) {
  const weights::DummyCheckpoint source({{"w", {kN, kK}}});
  // The last rank as well as the first, and a skeleton too: all ranks fail alike.
  for (const int rank : {0, 5})
    for (const weights::Checkpoint* from : {static_cast<const weights::Checkpoint*>(&source),
                                            static_cast<const weights::Checkpoint*>(nullptr)}) {
      Rig rig(from, DType::f32, {.rank = rank, .world = 6});
      EXPECT_THAT(
          error_of<Error>([&] { rig.loader.matrix("w", kN, kK, Split::rows); }),
          HasSubstr("'w' [131, 37] has 5 panels of 32 rows, too few for 6 ranks; use at most 5 ranks"));
    }
}

TEST(WeightShardErrors, AShardThatCannotBeIsRefused) {
  for (const Shard shard : {Shard{-1, 2}, Shard{2, 2}, Shard{0, 0}})
    EXPECT_THAT(error_of<Error>([&] { Rig rig(nullptr, DType::f32, shard); }),
                HasSubstr("ranks count from 0 and are below their number"));
}

TEST(WeightShardSkeleton, HasTheSizesOfTheRealOne) {
  Rig rig(nullptr, DType::bf16, {.rank = 1, .world = 2});
  EXPECT_EQ(rig.loader.matrix("w", kN, kK, Split::rows).shape, (Shape{kN - 3 * kPanel, kK}));
  const std::vector<std::string> names = {"a", "b"};
  const Tensor stack = rig.loader.matrices(names, kN, kK);
  EXPECT_EQ(stack.extent(), Dim(static_cast<int64_t>(2 * kernels::cpu::packed_bytes(DType::bf16, kN, kK))));
  EXPECT_EQ(rig.loader.requested().size(), 3u);
  EXPECT_EQ(rig.loader.names().at(stack.buffer.get()), "a+1");
}

class WeightStack : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(All, WeightStack, testing::Values(DType::f32, DType::bf16), dtype_of);

constexpr int64_t kExperts = 3;

TEST_P(WeightStack, OfNamesHasEachExpertsBytes) {
  const std::vector<std::string> names = {"e.0", "e.1", "e.2"};
  const weights::DummyCheckpoint source({{"e.0", {kN, kK}}, {"e.1", {kN, kK}}, {"e.2", {kN, kK}}});
  Rig rig(&source, GetParam());
  const Tensor stack = rig.loader.matrices(names, kN, kK);
  EXPECT_EQ(stack.shape, (Shape{kExperts, kN, kK}));
  Bytes expected;
  for (const std::string& name : names) {
    const Bytes alone = rig.bytes(rig.loader.matrix(name, kN, kK));
    expected.insert(expected.end(), alone.begin(), alone.end());
  }
  EXPECT_TRUE(rig.bytes(stack) == expected);
}

TEST_P(WeightStack, OfOneTensorHasEachExpertsBytes) {
  const weights::DummyCheckpoint source({{"e", {kExperts, kN, kK}}});
  Rig rig(&source, GetParam());
  const Tensor stack = rig.loader.matrices("e", kExperts, kN, kK);
  EXPECT_EQ(stack.shape, (Shape{kExperts, kN, kK}));
  Bytes expected;
  for (int64_t expert = 0; expert < kExperts; ++expert) {
    const Bytes alone = packed_rows(source, "e", expert * kN, kN, kK, GetParam());
    expected.insert(expected.end(), alone.begin(), alone.end());
  }
  EXPECT_TRUE(rig.bytes(stack) == expected);
}

TEST(WeightStackErrors, NameTheTensor) {
  const weights::DummyCheckpoint source({{"e.0", {8, 4}}, {"e.1", {9, 4}}, {"all", {2, 8, 4}}});
  Rig rig(&source, DType::f32);
  const auto names = [&](std::vector<std::string> of) {
    return error_of<Error>([&] { rig.loader.matrices(of, 8, 4); });
  };
  EXPECT_THAT(names({"e.0", "e.1"}),
              testing::AllOf(HasSubstr("'e.1'"), HasSubstr("[9, 4]"), HasSubstr("[8, 4]")));
  EXPECT_THAT(names({"e.0", "e.7"}), HasSubstr("no tensor 'e.7'"));
  EXPECT_THAT(names({"all"}), testing::AllOf(HasSubstr("'all'"), HasSubstr("[2, 8, 4]")));
  const auto one = [&](const std::string& name, int64_t experts) {
    return error_of<Error>([&] { rig.loader.matrices(name, experts, 8, 4); });
  };
  EXPECT_THAT(one("all", 3), testing::AllOf(HasSubstr("'all'"), HasSubstr("[3, 8, 4]")));
  EXPECT_THAT(one("e.0", 2), testing::AllOf(HasSubstr("'e.0'"), HasSubstr("[2, 8, 4]")));
  EXPECT_THAT(one("none", 2), HasSubstr("no tensor 'none'"));
}

// bf16 is packed straight from the file, here from an odd address; shards and experts begin inside of it.
TEST(WeightLoaderFile, Bf16IsPackedFromTheMappedFile) {
  std::string data;
  for (int64_t i = 0; i < kExperts * kN * kK; ++i)
    weights::append(data, f32_to_bf16(static_cast<float>(i * 7919 % 1013) / 1013.0f - 0.5f));
  std::string header =
      fmt::format(R"({{"w":{{"dtype":"BF16","shape":[{},{}],"data_offsets":[0,{}]}},)"
                  R"("e":{{"dtype":"BF16","shape":[{},{},{}],"data_offsets":[{},{}]}}}})",
                  kN, kK, kN * kK * 2, kExperts, kN, kK, kN * kK * 2, kN * kK * 2 + data.size());
  if ((8 + header.size()) % 2 == 0) header += ' ';
  const weights::TemporaryFolder folder;
  const auto source = weights::Checkpoint::open(
      folder.write("m.safetensors",
                   weights::safetensors(header, data.substr(0, static_cast<size_t>(kN * kK * 2)) + data)));
  ASSERT_EQ(reinterpret_cast<uintptr_t>(source->raw("w")->data()) % 2, 1u);
  ThreadTeam team(2);
  HostMirrorDevice mirror(team, Isa::scalar);  // its memory is filled by uploads alone
  Rig rig(source.get(), DType::bf16, {.rank = 1, .world = 3}, &mirror);
  const Bytes whole = packed_rows(*source, "w", 0, kN, kK, DType::bf16);
  EXPECT_TRUE(rig.bytes(rig.loader.matrix("w", kN, kK)) == whole);
  const Bytes part = rig.bytes(rig.loader.matrix("w", kN, kK, Split::rows));
  const size_t panel = whole.size() / 5;
  EXPECT_TRUE(part == Bytes(whole.begin() + static_cast<ptrdiff_t>(2 * panel),
                            whole.begin() + static_cast<ptrdiff_t>(4 * panel)));
  Bytes expected;
  for (int64_t expert = 0; expert < kExperts; ++expert) {
    const Bytes alone = packed_rows(*source, "e", expert * kN, kN, kK, DType::bf16);
    expected.insert(expected.end(), alone.begin(), alone.end());
  }
  EXPECT_TRUE(rig.bytes(rig.loader.matrices("e", kExperts, kN, kK)) == expected);
}

}  // namespace
}  // namespace reprise::models
