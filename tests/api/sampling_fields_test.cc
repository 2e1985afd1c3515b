#include "api/sampling_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace reprise::api {
namespace {

std::string error_of(const std::string& name, const Json& value) {
  Sampling sampling;
  try {
    set_sampling_field(sampling, name, value);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(SamplingFields, JsonFieldsAreTyped) {
  Sampling sampling;
  EXPECT_TRUE(set_sampling_field(sampling, "top_p", 0.5));
  EXPECT_TRUE(set_sampling_field(sampling, "stop", "END"));
  EXPECT_TRUE(set_sampling_field(sampling, "logit_bias", Json{{"5", 2.5}}));
  EXPECT_TRUE(set_sampling_field(sampling, "seed", nullptr));
  EXPECT_FALSE(set_sampling_field(sampling, "top_q", 1));
  EXPECT_EQ(sampling.top_p, 0.5f);
  EXPECT_THAT(sampling.stop, testing::ElementsAre("END"));
  EXPECT_THAT(sampling.logit_bias, testing::ElementsAre(testing::Pair(5, 2.5f)));
  EXPECT_FALSE(sampling.seed);
  EXPECT_THAT(error_of("top_k", "many"),
              testing::AllOf(testing::HasSubstr("top_k"), testing::HasSubstr("integer")));
  EXPECT_THAT(error_of("top_k", 1e300), testing::HasSubstr("top_k"));
  EXPECT_THAT(error_of("max_tokens", int64_t{1} << 40), testing::HasSubstr("max_tokens"));
  EXPECT_THAT(error_of("stop", Json::array({1})), testing::HasSubstr("stop"));
  EXPECT_THAT(error_of("ignore_eos", 1), testing::HasSubstr("true or false"));
}

}  // namespace
}  // namespace reprise::api
