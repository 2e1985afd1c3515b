#include "api/sampling_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "api/load_fields.h"
#include "api/model_setup.h"
#include "api/sampling_check.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::api {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::string error_of(const std::string& name, const Json& value) {
  Sampling sampling;
  try {
    set_sampling_field(sampling, name, value);
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// The same from JSON text, as a request has it.
std::string error_of_text(const std::string& name, const std::string& value) {
  return error_of(name, parse_json(value, "value"));
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
  EXPECT_TRUE(set_sampling_field(sampling, "seed", 18446744073709551615u));
  EXPECT_EQ(sampling.seed, 18446744073709551615u);
  EXPECT_TRUE(set_sampling_field(sampling, "seed", -1));
  EXPECT_EQ(sampling.seed, 18446744073709551615u);
}

TEST(SamplingFields, WrongValuesNameFieldValueAndRange) {
  for (const auto& [name, value, found, expected] :
       std::vector<std::tuple<std::string, std::string, std::string, std::string>>{
           {"top_k", "\"many\"", "\"many\"", "integer from -1"},
           {"top_k", "1e300", "1e+300", "integer"},
           {"top_k", "2.5", "2.5", "integer"},
           {"top_k", "-2", "-2", "from -1"},
           {"top_k", "true", "true", "integer"},
           {"max_tokens", "1099511627776", "1099511627776", "from 0 to 2147483647"},
           {"max_tokens", "18446744073709551615", "18446744073709551615", "from 0 to"},
           {"max_tokens", "1000000000000000000000000", "1e+24", "integer"},
           {"seed", "1000000000000000000000000", "1e+24", "18446744073709551615"},
           {"seed", "1.0", "1.0", "integer"},
           {"n", "20000000", "20000000", "from 1 to 128"},
           {"n", "0", "0", "from 1 to 128"},
           {"temperature", "\"0.5\"", "\"0.5\"", "a number"},
           {"temperature", "-0.1", "-0.1", "0 or more"},
           {"temperature", "1e39", "1e+39", "a number"},
           {"top_p", "1.5", "1.5", "from 0 to 1"},
           {"presence_penalty", "false", "false", "from -2 to 2"},
           {"repetition_penalty", "0", "0", "above 0"},
           {"stop", "[1]", "[0] is 1", "a string"},
           {"stop", "{}", "{}", "a list of strings"},
           {"stop_token_ids", "3", "3", "a list of token ids"},
           {"stop_token_ids", "[-1]", "-1", "from 0"},
           {"stop_token_ids", "[1.5]", "1.5", "integer"},
           {"logit_bias", "[]", "[]", "an object"},
           {"logit_bias", "{\"x\": 1}", "\"x\"", "a token id"},
           {"logit_bias", "{\"5\": 101}", "101", "from -100 to 100"},
           {"logit_bias", "{\"5\": \"1\"}", "\"1\"", "from -100 to 100"},
           {"bad_words_token_ids", "[[1], \"a\"]", "\"a\"", "integer"},
           {"ignore_eos", "1", "1", "true or false"},
           {"logprobs", "\"5\"", "\"5\"", "integer from -1"},
           {"prompt_logprobs", "-2", "-2", "from -1"}})
    EXPECT_THAT(error_of_text(name, value),
                AllOf(HasSubstr("[" + name + "]"), HasSubstr(found), HasSubstr(expected)))
        << name << " " << value;
}

TEST(SamplingFields, ListsAreCountedBeforeTheyAreCopiedAndNotShownWhole) {
  const Json many = Json(std::vector<std::string>(20000, "bad"));
  for (const char* name : {"stop", "bad_words"})
    EXPECT_THAT(error_of(name, many), AllOf(HasSubstr("20000 entries"), HasSubstr("at most"))) << name;
  EXPECT_THAT(error_of("stop", std::string(100'000, 'a')), HasSubstr("65536 bytes"));
  EXPECT_THAT(error_of("stop_token_ids", Json(std::vector<int>(257, 1))), HasSubstr("at most 256"));
  EXPECT_THAT(error_of("bad_words_token_ids", Json(std::vector<std::vector<int>>(513, {1}))),
              HasSubstr("at most 512"));
  EXPECT_THAT(error_of("bad_words_token_ids", Json{std::vector<int>(70000, 1)}), HasSubstr("at most 65536"));
  EXPECT_LT(error_of("temperature", std::string(1'000'000, 'x')).size(), 200u);
  EXPECT_LT(error_of("temperature", many).size(), 200u);
}

// The table's ranges and the engine's are the same numbers: a value at the edge passes both, one beyond fails
// both.
TEST(SamplingFields, RangesAreThoseOfTheEngine) {
  for (const auto& [name, good, bad] :
       std::vector<std::tuple<std::string, Json, Json>>{{"temperature", 0, -1e-6},
                                                        {"top_k", -1, -2},
                                                        {"top_p", 1, 1.001},
                                                        {"top_p", 0, -0.001},
                                                        {"min_p", 1, 1.001},
                                                        {"repetition_penalty", 1e-6, 0},
                                                        {"presence_penalty", -2, -2.001},
                                                        {"frequency_penalty", 2, 2.001},
                                                        {"n", 128, 129},
                                                        {"n", 1, 0},
                                                        {"max_tokens", 0, -1},
                                                        {"min_tokens", 0, -1},
                                                        {"logprobs", -1, -2},
                                                        {"prompt_logprobs", -1, -2}}) {
    Sampling sampling;
    ASSERT_TRUE(set_sampling_field(sampling, name, good)) << name;
    EXPECT_NO_THROW(check_sampling(sampling)) << name;
    EXPECT_NE(error_of(name, bad), "") << name;
  }
  Sampling sampling;
  sampling.n = 129;
  EXPECT_THROW(check_sampling(sampling), Error);
  sampling.n = 1;
  sampling.top_p = 1.001f;
  EXPECT_THROW(check_sampling(sampling), Error);
}

// What the schema says is what is taken: the default and the values at its edges, and none beyond.
TEST(SamplingFields, SchemasSayWhatIsTaken) {
  int edges = 0;
  for (const SamplingField& field : sampling_fields()) {
    const Json schema = field_schema(field);
    EXPECT_FALSE(schema["description"].get<std::string>().empty());
    EXPECT_EQ(error_of(field.name, schema["default"]), "") << field.name;
    const bool choice = field.type == FieldType::logprob_count;
    const Json& number = choice ? schema["anyOf"][1] : schema;
    for (const auto& [key, outwards] : {std::pair{"minimum", -1}, {"maximum", 1}, {"exclusiveMinimum", 0}}) {
      if (!number.contains(key)) continue;
      const Json& edge = number[key];
      if (field.type == FieldType::seed) {
        EXPECT_EQ(error_of(field.name, edge), "");
        continue;
      }
      ++edges;
      const double beyond = edge.get<double>() + outwards;
      const bool whole = field.type != FieldType::number;
      EXPECT_EQ(error_of(field.name, edge) == "", outwards != 0) << field.name << " at its " << key;
      EXPECT_NE(error_of(field.name, whole ? Json(static_cast<int64_t>(beyond)) : Json(beyond)), "")
          << field.name << " beyond its " << key;
    }
    const std::vector<int> ids(schema.contains("maxItems") ? schema["maxItems"].get<size_t>() : 0, 1);
    if (ids.empty()) continue;
    ++edges;
    Json list = ids;
    EXPECT_EQ(error_of(field.name, list), "");
    list.push_back(1);
    EXPECT_NE(error_of(field.name, list), "") << field.name;
  }
  EXPECT_GE(edges, 18);
  const SamplingField& top_p = sampling_fields()[2];
  EXPECT_EQ(field_schema(top_p), (Json{{"type", "number"},
                                       {"minimum", 0.0},
                                       {"maximum", 1.0},
                                       {"default", 1},
                                       {"description", fmt::format("{}. Values: 0 to 1 (1)", top_p.help)}}));
}

TEST(SamplingFields, TextOfFlags) {
  const auto error = [](const std::string& name, const std::vector<std::string>& texts) -> std::string {
    Sampling sampling;
    for (const SamplingField& field : sampling_fields())
      if (field.name == name) try {
          set_field_from_text(field, sampling, texts, "--flag");
        } catch (const Error& e) {
          return e.what();
        }
    return "";
  };
  EXPECT_EQ(error("top_p", {"0.5"}), "");
  EXPECT_EQ(error("stop", {"0.5", "x"}), "");
  EXPECT_THAT(error("top_p", {"big"}),
              AllOf(HasSubstr("[--flag] is \"big\", expected"), Not(HasSubstr("JSON"))));
  EXPECT_THAT(error("n", {""}), HasSubstr("[--flag] is \"\", expected"));
  EXPECT_THAT(error("stop_token_ids", {"[1,"}), HasSubstr("expected a list of token ids"));
}

TEST(LoadFields, ValuesAreCheckedWithTheirName) {
  const auto set = [](const std::string& name, const std::string& value,
                      LoadOptions& options) -> std::string {
    for (const LoadField& field : load_fields())
      if (field.name == name) try {
          set_load_field(field, options, value, "--" + name);
          return "";
        } catch (const Error& e) {
          return e.what();
        }
    return "no such field";
  };
  LoadOptions options;
  EXPECT_EQ(set("max_model_len", "77", options), "");
  EXPECT_EQ(set("kv_cache_memory", "1.5GiB", options), "");
  EXPECT_EQ(set("use_cudagraph", "false", options), "");
  EXPECT_EQ(set("compile_cache", "off", options), "");
  EXPECT_EQ(set("compile_before_ready", "true", options), "");
  EXPECT_EQ(set("load_choices", "dummy", options), "");
  EXPECT_EQ(options.max_model_len, 77);
  EXPECT_EQ(options.kv_cache_memory, size_t{3} << 29);
  EXPECT_EQ(options.use_cudagraph, false);
  EXPECT_EQ(options.compile_cache, "off");
  EXPECT_EQ(options.compile_before_ready, true);
  EXPECT_TRUE(options.random_weights);
  for (const auto& [name, value] :
       std::vector<std::pair<std::string, std::string>>{{"threads", "-1"},
                                                        {"threads", "x"},
                                                        {"threads", "2x"},
                                                        {"threads", "1e3"},
                                                        {"threads", ""},
                                                        {"max_num_seqs", "0"},
                                                        {"block_size", "99999999999999999999"},
                                                        {"gpu_memory_utilization", "nan"},
                                                        {"use_cudagraph", "yes"},
                                                        {"compile_before_ready", "1"},
                                                        {"compile_cache", ""},
                                                        {"load_choices", "maybe"}})
    EXPECT_THAT(set(name, value, options),
                AllOf(HasSubstr("[--" + name + "] is '" + value + "'"), HasSubstr("expected")));
}

TEST(LoadFields, CompileBeforeReadyIsWhatIsGivenOrTheVariable) {
  static constexpr const char* kName = "REPRISE_COMPILE_BEFORE_READY";
  unsetenv(kName);
  EXPECT_FALSE(compile_before_ready({}));
  EXPECT_TRUE(compile_before_ready({.compile_before_ready = true}));
  for (const char* off : {"", "0"}) {
    setenv(kName, off, 1);
    EXPECT_FALSE(compile_before_ready({})) << off;
  }
  setenv(kName, "1", 1);
  EXPECT_TRUE(compile_before_ready({}));
  EXPECT_FALSE(compile_before_ready({.compile_before_ready = false}));
  setenv(kName, "yes", 1);
  EXPECT_THROW(compile_before_ready({}), Error);
  EXPECT_THROW(check_load_options({.compile_before_ready = true}), Error);
  unsetenv(kName);
}

}  // namespace
}  // namespace reprise::api
