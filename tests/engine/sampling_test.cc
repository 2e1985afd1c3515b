// The sampling kernel against plain definitions, at every ISA level of this machine.
#include "kernels/cpu/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "core/thread_team.h"
#include "device/cpu/isa_select.h"
#include "kernels/cpu/philox.h"

namespace reprise::kernels::cpu {
namespace {

// Vectors of the Random123 distribution (kat_vectors, philox4x32 10).
TEST(Philox, KnownAnswers) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

struct Result {
  int32_t token = -7;
  float logprob = 0;
  std::vector<int32_t> top_ids;
  std::vector<float> top_logprobs;
};

// One row through the kernel, with entries of its slot.
Result sample_one(Isa isa, const std::vector<float>& logits, SampleRow row,
                  const std::vector<TokenBias>& biases = {}, const std::vector<TokenCount>& counts = {},
                  const std::vector<uint32_t>& mask = {}) {
  static std::vector<std::byte> scratch_bytes(KernelContext::kScratchBytes + 64);
  auto* scratch =
      reinterpret_cast<std::byte*>((reinterpret_cast<uintptr_t>(scratch_bytes.data()) + 63) / 64 * 64);
  if (row.mode == SampleMode::skip) row.mode = SampleMode::choose;
  row.bias_count = static_cast<int32_t>(biases.size());
  row.count_count = static_cast<int32_t>(counts.size());
  row.masked = mask.empty() ? 0 : 1;
  const SampleScalars scalars{.vocab = static_cast<int64_t>(logits.size()),
                              .max_top = std::max(1, row.top),
                              .max_biases = static_cast<int64_t>(biases.size())};
  Result out;
  out.top_ids.resize(static_cast<size_t>(scalars.max_top));
  out.top_logprobs.resize(static_cast<size_t>(scalars.max_top));
  const auto raw = [](const auto* p) {
    return reinterpret_cast<std::byte*>(
        const_cast<std::remove_const_t<std::remove_pointer_t<decltype(p)>>*>(p));
  };
  std::byte* buffers[] = {raw(logits.data()),
                          raw(&row),
                          raw(biases.data()),
                          raw(counts.data()),
                          raw(mask.data()),
                          raw(&out.token),
                          raw(&out.logprob),
                          raw(out.top_ids.data()),
                          raw(out.top_logprobs.data())};
  const KernelContext context{
      .sizes = {1, 1}, .buffers = buffers, .scalars = &scalars, .scratch = scratch, .worker = 0};
  const FlushDenormals flush;
  sample_kernel(isa).run(context, 0, 1);
  return out;
}

std::vector<float> random_logits(size_t n, uint32_t seed, float spread = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, spread);
  std::vector<float> out(n);
  for (float& x : out) x = normal(random);
  return out;
}

class Sampling : public testing::TestWithParam<Isa> {
 protected:
  Isa isa() const { return GetParam(); }
  // Share of each token among draws at places 0, 1, 2 ... of a stream.
  std::map<int32_t, double> shares(const std::vector<float>& logits, SampleRow row, int draws) {
    std::map<int32_t, double> out;
    for (int i = 0; i < draws; ++i) {
      row.position = static_cast<uint64_t>(i);
      out[sample_one(isa(), logits, row).token] += 1.0 / draws;
    }
    return out;
  }
};

TEST_P(Sampling, GreedyTakesTheLowestIdOfTheLargest) {
  for (size_t n : {1u, 2u, 15u, 16u, 17u, 63u, 64u, 65u, 1000u, 32001u}) {
    std::vector<float> logits = random_logits(n, static_cast<uint32_t>(n));
    const SampleRow greedy{.temperature = 0};
    const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    EXPECT_EQ(sample_one(isa(), logits, greedy).token, best) << n;
    logits[n / 2] = logits[n - 1] = 100;
    EXPECT_EQ(sample_one(isa(), logits, greedy).token, static_cast<int32_t>(n / 2 == n - 1 ? n - 1 : n / 2))
        << n;
  }
}

TEST_P(Sampling, AMaskedTokenIsNeverChosen) {
  std::mt19937 random(5);
  for (const size_t n : {1u, 31u, 32u, 33u, 64u, 503u, 32001u}) {
    const std::vector<float> logits = random_logits(n, static_cast<uint32_t>(n));
    for (const uint32_t share : {2u, 50u, 1000u}) {  // of the ids, one in so many is allowed
      std::vector<uint32_t> mask(static_cast<size_t>(mask_words(static_cast<int64_t>(n))));
      int64_t best = -1;
      for (size_t id = 0; id < n; ++id) {
        if (random() % share != 0) continue;
        mask[id / 32] |= uint32_t{1} << (id % 32);
        if (best < 0 || logits[id] > logits[static_cast<size_t>(best)]) best = static_cast<int64_t>(id);
      }
      if (n % 32 != 0) mask.back() |= ~uint32_t{0} << (n % 32);  // of no token
      EXPECT_EQ(sample_one(isa(), logits, {.temperature = 0}, {}, {}, mask).token, best) << n;
      for (uint64_t position = 0; position < 20; ++position)
        for (const int32_t top_k : {0, 5}) {
          const int32_t token =
              sample_one(isa(), logits, {.position = position, .top_k = top_k}, {}, {}, mask).token;
          if (best < 0)
            EXPECT_EQ(token, SampleRow::kNothingToChoose);
          else
            EXPECT_NE(mask[static_cast<size_t>(token) / 32] >> (token % 32) & 1, 0u) << token << " of " << n;
        }
    }
  }
  // A bias does not bring back what the mask forbids, and log-probabilities are the model's own.
  std::vector<float> logits = random_logits(100, 9);
  std::vector<uint32_t> mask(4, ~uint32_t{0});
  mask[0] &= ~uint32_t{1 << 7};
  const Result biased = sample_one(isa(), logits, {.top = 3, .temperature = 0}, {{7, 100.0f}}, {}, mask);
  EXPECT_NE(biased.token, 7);
  EXPECT_EQ(biased.top_logprobs, sample_one(isa(), logits, {.top = 3, .temperature = 0}).top_logprobs);
}

TEST_P(Sampling, NothingToChooseIsSaid) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (float temperature : {0.0f, 1.0f}) {
    EXPECT_EQ(sample_one(isa(), std::vector<float>(100, nan), {.temperature = temperature}).token,
              SampleRow::kNotANumber);
    EXPECT_EQ(sample_one(isa(), std::vector<float>(100, -inf), {.temperature = temperature}).token, -1);
    std::vector<float> mixed(100, nan);
    mixed[70] = -5;
    EXPECT_EQ(sample_one(isa(), mixed, {.temperature = temperature}).token, 70);
    EXPECT_EQ(sample_one(isa(), mixed, {.temperature = temperature, .top_k = 3, .top_p = 0.5f}).token, 70);
    EXPECT_EQ(sample_one(isa(), mixed, {.temperature = temperature, .top_p = 0.5f, .min_p = 0.5f}).token, 70);
    mixed[3] = inf;
    EXPECT_EQ(sample_one(isa(), mixed, {.temperature = temperature}).token, 3);
  }
}

// One NaN among the logits, at every place of a vector: it is never chosen, and log-probabilities that it
// would spoil are said to be no numbers. So is a row with +infinity.
TEST_P(Sampling, OneNaNSpoilsTheLogprobsAndNothingElse) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (size_t n : {33u, 1000u})
    for (size_t at = 0; at < n; at += n < 100 ? 1 : 37)
      for (const float bad : {nan, -nan}) {
        std::vector<float> logits = random_logits(n, 3);
        logits[at] = -100;
        std::vector<float> spoilt = logits;
        spoilt[at] = bad;
        for (SampleRow row :
             {SampleRow{.temperature = 0}, SampleRow{.temperature = 1},
              SampleRow{.temperature = 1, .top_k = 5}, SampleRow{.temperature = 1, .top_p = 0.5f}}) {
          const int32_t token = sample_one(isa(), spoilt, row).token;
          EXPECT_GE(token, 0);
          EXPECT_NE(token, static_cast<int32_t>(at));
          row.repetition_penalty = 1.5f;
          EXPECT_GE(sample_one(isa(), spoilt, row, {}, {{static_cast<int32_t>(at), 1}, {1, 1}}).token, 0);
          row.top = 2;
          EXPECT_EQ(sample_one(isa(), spoilt, row).token, SampleRow::kNotANumber) << at;
          EXPECT_GE(sample_one(isa(), logits, row).token, 0);
        }
        const SampleRow score{.mode = SampleMode::score, .given_token = 2, .top = 0};
        EXPECT_EQ(sample_one(isa(), spoilt, score).token, SampleRow::kNotANumber) << at;
        spoilt[at] = std::numeric_limits<float>::infinity();
        EXPECT_EQ(sample_one(isa(), spoilt, score).token, SampleRow::kNotANumber) << at;
        EXPECT_EQ(sample_one(isa(), logits, score).token, 2);
      }
}

// Philox encrypts the counter with the key, so streams of one seed can't meet; those of two could only by
// chance.
TEST(Philox, NoTwoStreamsShareAPrefix) {
  std::set<std::pair<double, double>> prefixes;
  size_t streams = 0;
  for (uint64_t seed = 0; seed < 300; ++seed)
    for (const uint64_t base : {uint64_t{0}, uint64_t{1} << 32, ~uint64_t{0} - 400})
      for (uint32_t output = 0; output < 128; output += seed < 20 ? 1 : 17)
        for (const uint32_t drawn : {uint32_t{0}, uint32_t{1} << 31}) {
          // Shifted streams would share a prefix with another's middle: places 0 to 3 begin one each.
          for (uint64_t place = 0; place < 4; ++place)
            prefixes.emplace(uniform_at(base + seed, output | drawn, place),
                             uniform_at(base + seed, output | drawn, place + 1));
          streams += 4;
        }
  EXPECT_EQ(prefixes.size(), streams);
}

// Stream 0 is what a seed alone gave before there were streams.
TEST(Philox, StreamZeroIsTheSeedsOwn) {
  const auto words = philox4x32({5, 0, 0, 0}, {42, 7});
  const double expected = static_cast<double>((uint64_t{words[0]} << 32 | words[1]) >> 11) * 0x1p-53;
  EXPECT_EQ(uniform_at(uint64_t{7} << 32 | 42, 0, 5), expected);
  EXPECT_EQ(uniform_at(0, 0, 0), static_cast<double>(uint64_t{0x6627e8d5e169c58d} >> 11) * 0x1p-53);
}

TEST_P(Sampling, SharesFollowTheSoftmax) {
  const std::vector<float> logits = {0, 1, 2, -1, 0.5f};
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    double total = 0;
    for (float x : logits) total += std::exp(x / temperature);
    auto got = shares(logits, {.seed = 11, .temperature = temperature}, 20000);
    for (size_t i = 0; i < logits.size(); ++i)
      EXPECT_NEAR(got[static_cast<int32_t>(i)], std::exp(logits[i] / temperature) / total, 0.012);
  }
}

// Which tokens top_k, top_p and min_p leave, by sorting everything.
std::vector<int32_t> allowed(const std::vector<float>& logits, const SampleRow& row) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  if (row.top_k > 0 && row.top_k < static_cast<int32_t>(order.size()))
    order.resize(static_cast<size_t>(row.top_k));
  const double peak = logits[static_cast<size_t>(order[0])];
  const auto weight = [&](int32_t id) {
    return std::exp((logits[static_cast<size_t>(id)] - peak) / row.temperature);
  };
  double total = 0;
  for (int32_t id : order) total += weight(id);
  double mass = 0;
  size_t kept = 0;
  while (kept < order.size() && (kept == 0 || mass < row.top_p * total)) mass += weight(order[kept++]);
  if (row.top_p < 1) order.resize(kept);
  while (order.size() > 1 && weight(order.back()) < row.min_p) order.pop_back();
  std::sort(order.begin(), order.end());
  return order;
}

TEST_P(Sampling, FiltersLeaveWhatTheDefinitionsSay) {
  const std::vector<float> logits = random_logits(700, 5, 1.5f);
  const SampleRow rows[] = {{.temperature = 1, .top_k = 5},
                            {.temperature = 0.7f, .top_k = 1},
                            {.temperature = 1, .top_p = 0.3f},
                            {.temperature = 1.5f, .top_p = 0.05f},
                            {.temperature = 1, .top_p = 0},
                            {.temperature = 1, .min_p = 0.2f},
                            {.temperature = 0.8f, .top_k = 20, .top_p = 0.6f, .min_p = 0.1f},
                            {.temperature = 1, .top_p = 0.5f, .min_p = 0.25f}};
  for (const SampleRow& row : rows) {
    std::vector<int32_t> seen;
    for (const auto& [id, share] : shares(logits, row, 4000)) seen.push_back(id);
    const std::vector<int32_t> expected = allowed(logits, row);
    EXPECT_TRUE(std::includes(expected.begin(), expected.end(), seen.begin(), seen.end()))
        << "k " << row.top_k << " p " << row.top_p << " min_p " << row.min_p;
    // Rare tokens may be missed by the draws, most may not.
    EXPECT_GE(seen.size() * 10, expected.size() * 9) << "k " << row.top_k << " p " << row.top_p;
  }
}

TEST_P(Sampling, TiesAtTheEdgeGoToLowerIds) {
  const std::vector<float> flat(3000, 1.0f);
  for (const auto& [id, share] : shares(flat, {.temperature = 1, .top_k = 10}, 500)) EXPECT_LT(id, 10);
  for (const auto& [id, share] : shares(flat, {.temperature = 1, .top_p = 0.01f}, 500)) EXPECT_LE(id, 30);
}

TEST_P(Sampling, BiasesAndPenaltiesComeBeforeTheChoice) {
  const std::vector<float> logits = {1.0f, 3.0f, 2.0f, -1.0f};
  const SampleRow greedy{.temperature = 0};
  const float forbidden = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(sample_one(isa(), logits, greedy, {{3, 5.0f}}).token, 3);
  EXPECT_EQ(sample_one(isa(), logits, greedy, {{1, forbidden}}).token, 2);
  EXPECT_EQ(sample_one(isa(), logits, greedy, {{1, 50.0f}, {1, forbidden}}).token, 2);
  SampleRow row = greedy;
  row.repetition_penalty = 2;
  EXPECT_EQ(sample_one(isa(), logits, row, {}, {{1, 0}}).token, 2) << "3 / 2 < 2";
  row = greedy;
  row.presence_penalty = 1.5f;
  EXPECT_EQ(sample_one(isa(), logits, row, {}, {{1, 0}}).token, 1) << "the prompt does not count";
  EXPECT_EQ(sample_one(isa(), logits, row, {}, {{1, 1}}).token, 2);
  row = greedy;
  row.frequency_penalty = 0.4f;
  EXPECT_EQ(sample_one(isa(), logits, row, {}, {{1, 2}}).token, 1);
  EXPECT_EQ(sample_one(isa(), logits, row, {}, {{1, 3}}).token, 2);
}

TEST_P(Sampling, LogprobsAreOfTheRawLogitsAndSorted) {
  std::vector<float> logits = random_logits(5003, 9);
  logits[17] = logits[4000] = 20;  // a tie
  double total = 0;
  for (float x : logits) total += std::exp(static_cast<double>(x) - 20);
  const auto exact = [&](size_t id) { return static_cast<double>(logits[id]) - 20 - std::log(total); };
  for (int32_t top : {0, 1, 5, 300, 5003}) {
    const SampleRow row{.top = top, .temperature = 0, .repetition_penalty = 3};
    const Result got = sample_one(isa(), logits, row, {}, {{17, 1}});
    ASSERT_EQ(got.token, 4000) << "the penalty moves the choice";
    EXPECT_NEAR(got.logprob, exact(4000), 1e-5) << "but not the log-probability";
    for (int32_t i = 0; i < top; ++i) {
      const auto id = static_cast<size_t>(got.top_ids[static_cast<size_t>(i)]);
      EXPECT_NEAR(got.top_logprobs[static_cast<size_t>(i)], exact(id), 2e-5);
      if (i > 0) {
        const float above = logits[static_cast<size_t>(got.top_ids[static_cast<size_t>(i - 1)])];
        EXPECT_TRUE(above > logits[id] || (above == logits[id] && got.top_ids[static_cast<size_t>(i - 1)] <
                                                                      got.top_ids[static_cast<size_t>(i)]));
      }
    }
    if (top >= 2) {
      EXPECT_EQ(got.top_ids[0], 17);
      EXPECT_EQ(got.top_ids[1], 4000);
    }
  }
}

TEST_P(Sampling, ScoresAGivenToken) {
  const std::vector<float> logits = {0, 0, 0, 0};
  const Result got = sample_one(isa(), logits, {.mode = SampleMode::score, .given_token = 2, .top = 0});
  EXPECT_EQ(got.token, 2);
  EXPECT_FLOAT_EQ(got.logprob, std::log(0.25f));
}

// The contract between levels: one order of accumulation, so the same draw everywhere.
TEST_P(Sampling, SameBitsAsTheScalarLevel) {
  const std::vector<float> logits = random_logits(32003, 21, 2);
  const SampleRow rows[] = {{.top = 4, .temperature = 1},
                            {.top = 4, .temperature = 0.8f, .top_k = 50, .top_p = 0.9f},
                            {.top = 4, .temperature = 1.1f, .top_p = 0.95f, .min_p = 0.01f}};
  for (SampleRow row : rows)
    for (uint64_t position = 0; position < 20; ++position) {
      row.position = position;
      const Result a = sample_one(Isa::scalar, logits, row);
      const Result b = sample_one(isa(), logits, row);
      EXPECT_EQ(a.token, b.token);
      EXPECT_EQ(a.logprob, b.logprob);
      EXPECT_EQ(a.top_ids, b.top_ids);
      EXPECT_EQ(a.top_logprobs, b.top_logprobs);
    }
}

INSTANTIATE_TEST_SUITE_P(Levels, Sampling, testing::ValuesIn(reprise::cpu::available_isas()),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace reprise::kernels::cpu
