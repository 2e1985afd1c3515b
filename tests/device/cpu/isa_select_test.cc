#include "device/cpu/isa_select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "core/error.h"
#include "device/cpu/bandwidth_probe.h"

namespace reprise::cpu {
namespace {

using ::testing::HasSubstr;

TEST(IsaSelect, ScalarIsAlwaysThereAndLevelsAscend) {
  const auto& isas = available_isas();
  ASSERT_FALSE(isas.empty());
  EXPECT_EQ(isas.front(), Isa::scalar);
  EXPECT_TRUE(std::is_sorted(isas.begin(), isas.end()));
}

TEST(IsaSelect, AutomaticChoiceIsAvailableAndStable) {
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Isa isa = choose_isa(dtype, "auto");
    EXPECT_EQ(std::count(available_isas().begin(), available_isas().end(), isa), 1);
    EXPECT_EQ(isa, choose_isa(dtype, "auto"));
  }
  EXPECT_LE(choose_isa(DType::f32, "auto"), Isa::avx512);
}

TEST(IsaSelect, AnyAvailableLevelCanBeAskedFor) {
  for (Isa isa : available_isas()) EXPECT_EQ(choose_isa(DType::bf16, name_of(isa)), isa);
}

TEST(IsaSelect, EnvironmentCountsWhereNothingIsAskedFor) {
  setenv("REPRISE_ISA", "scalar", 1);
  EXPECT_EQ(choose_isa(DType::bf16), Isa::scalar);
  const Isa last = available_isas().back();
  EXPECT_EQ(choose_isa(DType::bf16, name_of(last)), last);
  unsetenv("REPRISE_ISA");
}

TEST(IsaSelect, ErrorsListWhatThereIs) {
  try {
    choose_isa(DType::f32, "sse9");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("sse9"));
    EXPECT_THAT(error.what(), HasSubstr("scalar"));
  }
  for (Isa isa : kAllIsas)
    if (std::count(available_isas().begin(), available_isas().end(), isa) == 0) {
      EXPECT_THROW(choose_isa(DType::bf16, name_of(isa)), Error);
    }
}

TEST(BandwidthProbe, FindsAPlausibleNumber) {
  ThreadTeam team(2);
  const double gigabytes = read_bandwidth(team, size_t{8} << 20, 2);
  EXPECT_GT(gigabytes, 0.1);
  EXPECT_LT(gigabytes, 5000);
}

// A worker's sum wraps around from 128 MiB on: one that may not (a signed one) is caught here by UBSan.
TEST(BandwidthProbe, ReadsMuchMemoryOnOneThread) {
  ThreadTeam team(1);
  EXPECT_GT(read_bandwidth(team, size_t{160} << 20, 1), 0.1);
}

}  // namespace
}  // namespace reprise::cpu
