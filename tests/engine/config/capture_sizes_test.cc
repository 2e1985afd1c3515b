// The lists of sizes: counts and ends as the design states them, and what becomes of a user's list.
#include "engine/config/capture_sizes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

namespace reprise::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(CaptureSizes, CountsOfTheDefaultList) {
  for (const auto& [max_num_seqs, count] :
       {std::pair<int64_t, size_t>{8, 4}, {32, 7}, {64, 11}, {128, 19}, {256, 27}, {512, 35}, {1024, 51}})
    EXPECT_EQ(default_capture_sizes(max_num_seqs).size(), count) << max_num_seqs;
}

TEST(CaptureSizes, DefaultListNamesTheCandidates) {
  EXPECT_THAT(default_capture_sizes(1), ElementsAre(1));
  EXPECT_THAT(default_capture_sizes(3), ElementsAre(1, 2, 3));
  EXPECT_THAT(default_capture_sizes(10), ElementsAre(1, 2, 4, 8, 10));
  EXPECT_THAT(default_capture_sizes(32), ElementsAre(1, 2, 4, 8, 16, 24, 32));
  const std::vector<int64_t> all = default_capture_sizes(1024);
  for (const int64_t size : {128, 144, 240, 256, 288, 320, 512, 544, 992, 1024})
    EXPECT_TRUE(std::binary_search(all.begin(), all.end(), size)) << size;
  for (const int64_t size : {3, 136, 272, 304, 1000})
    EXPECT_FALSE(std::binary_search(all.begin(), all.end(), size)) << size;
}

TEST(CaptureSizes, TheFullBatchIsAlwaysThere) {
  for (int64_t max_num_seqs = 1; max_num_seqs <= 1200; ++max_num_seqs) {
    const std::vector<int64_t> sizes = default_capture_sizes(max_num_seqs);
    EXPECT_EQ(sizes.back(), max_num_seqs);
    EXPECT_EQ(std::adjacent_find(sizes.begin(), sizes.end(), std::greater_equal<>()), sizes.end());
  }
  EXPECT_EQ(default_capture_sizes(4096).size(), 52u) << "above 1024 only max_num_seqs itself";
}

TEST(CaptureSizes, SpeculationMultiplies) {
  EXPECT_THAT(default_capture_sizes(8, 2), ElementsAre(3, 6, 12, 24));
  for (const int64_t size : default_capture_sizes(100, 4)) EXPECT_EQ(size % 5, 0);
  EXPECT_EQ(default_capture_sizes(1024, 3).size(), 51u);
}

TEST(CaptureSizes, PrefillDoublesUpToTheLargest) {
  EXPECT_THAT(default_prefill_capture_sizes(512), ElementsAre(1, 2, 4, 8, 16, 32, 64, 128, 256, 512));
  EXPECT_THAT(default_prefill_capture_sizes(20), ElementsAre(1, 2, 4, 8, 16, 20));
  EXPECT_THAT(default_prefill_capture_sizes(1), ElementsAre(1));
}

TEST(CaptureSizes, CropSortsAndDropsDuplicates) {
  const CroppedSizes cropped = crop_sizes({9, 1, 16, 3, 9, 8, 16, 12}, 8);
  EXPECT_THAT(cropped.kept, ElementsAre(1, 3, 8));
  EXPECT_THAT(cropped.dropped, ElementsAre(9, 12, 16));
  EXPECT_THAT(crop_sizes({9}, 8).kept, IsEmpty());
}

}  // namespace
}  // namespace reprise::engine
