#include "core/arena.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <algorithm>
#include <random>
#include <vector>

#include "core/error.h"

namespace reprise {
namespace {

TEST(StepArena, SameCallsGiveTheSameOffsets) {
  StepArena arena(host_memory(), 1 << 20);
  arena.set_sizing({.tokens = 8, .seqs = 2});
  const auto run = [&] {
    std::vector<uint64_t> offsets;
    Tensor a = arena.allocate(DType::f32, {kTokens, 16});
    Tensor b = arena.allocate(DType::bf16, {kTokens, 64});
    offsets.insert(offsets.end(), {a.buffer->id, b.buffer->id});
    a = {};
    Tensor c = arena.allocate(DType::f32, {kTokens, 8});
    offsets.push_back(c.buffer->id);
    return offsets;
  };
  EXPECT_EQ(run(), run());
  EXPECT_EQ(arena.used(), 0u);
}

TEST(StepArena, LiveTensorsNeverOverlapAndAllMemoryComesBack) {
  StepArena arena(host_memory(), 1 << 20);
  arena.set_sizing({.tokens = 4, .seqs = 1});
  std::mt19937 random(1);
  std::vector<Tensor> live;
  for (int i = 0; i < 5000; ++i) {
    if (live.size() > 40 || (!live.empty() && random() % 2 == 0)) {
      live.erase(live.begin() + random() % live.size());
      continue;
    }
    Tensor fresh = arena.allocate(DType::f32, {kTokens, static_cast<int64_t>(1 + random() % 500)});
    for (const Tensor& other : live)
      ASSERT_TRUE(fresh.data() + fresh.buffer->bytes <= other.data() ||
                  other.data() + other.buffer->bytes <= fresh.data());
    live.push_back(fresh);
  }
  live.clear();
  EXPECT_EQ(arena.used(), 0u);
  // Nothing is left in pieces: one tensor of nearly the whole range fits.
  EXPECT_NO_THROW(arena.allocate(DType::i8, {(1 << 20) - 1024}));
}

TEST(StepArena, FullArenaSaysWhatDidNotFit) {
  StepArena arena(host_memory(), 4096);
  arena.set_sizing({.tokens = 100, .seqs = 1});
  try {
    arena.allocate(DType::f32, {kTokens, 1000});
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("[T, 1000]"), std::string::npos) << e.what();
  }
}

TEST(StepArena, DryArenaPredictsThePeak) {
  StepArena dry(kDry), real(host_memory(), 1 << 22);
  for (StepArena* arena : {&dry, &real}) {
    arena->set_sizing({.tokens = 64, .seqs = 4});
    Tensor a = arena->allocate(DType::f32, {kTokens, 100});
    Tensor b = arena->allocate(DType::f32, {kSeqs, 1000});
    a = {};
    Tensor c = arena->allocate(DType::bf16, {kTokens, 300});
  }
  EXPECT_EQ(dry.peak(), real.peak());
}

TEST(HeapStore, CountsAlignsAndZeroes) {
  HeapStore store(BufferKind::weight, host_memory());
  const Tensor small = store.allocate(DType::f32, {3});
  const Tensor large = store.allocate(DType::bf16, {1024, 1024});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small.data()) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(large.data()) % 64, 0u);
  EXPECT_EQ(small.as<float>()[2], 0.0f);
  EXPECT_EQ(large.as<uint16_t>()[1024 * 1024 - 1], 0);
  EXPECT_GE(store.bytes(), 2u * 1024 * 1024 + 12);
  EXPECT_NE(small.buffer->id, large.buffer->id);
}

TEST(HeapStore, WhatIsDiscardedTakesNoMemoryUntilItIsUsed) {
  constexpr int64_t kCount = int64_t{4} << 20;
  HeapStore store(BufferKind::state, host_memory());
  const Tensor large = store.allocate(DType::f32, {kCount}), small = store.allocate(DType::f32, {3});
  const auto resident = [&] {
    std::vector<unsigned char> pages(kCount * 4 / 4096);
    EXPECT_EQ(mincore(large.as<float>(), kCount * 4, pages.data()), 0);
    return std::ranges::count_if(pages, [](unsigned char page) { return (page & 1) != 0; });
  };
  std::fill_n(large.as<float>(), kCount, 1.0f);
  EXPECT_EQ(resident(), kCount * 4 / 4096);
  store.discard();
  EXPECT_EQ(resident(), 0);
  large.as<float>()[kCount - 1] = small.as<float>()[2] = 2.0f;
  EXPECT_EQ(large.as<float>()[kCount - 1] + small.as<float>()[2], 4.0f);
}

}  // namespace
}  // namespace reprise
