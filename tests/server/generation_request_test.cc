// Bodies of generation requests: a field is used or refused by name.
#include "server/generation_request.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/json.h"
#include "server/api_error.h"

namespace reprise::server {
namespace {

using testing::HasSubstr;

struct Refusal {
  int status = 0;
  std::string param, message;
};

// As the server answers it.
Refusal refusal(Endpoint endpoint, const std::string& body) {
  try {
    parse_generation_request(endpoint, body, {});
    return {};
  } catch (...) {
    const ApiError error = api_error_of_current();
    return {error.status, error.param, error.what()};
  }
}
std::string completion(const std::string& fields) {
  return R"({"prompt": "x")" + (fields.empty() ? "" : ", " + fields) + "}";
}
std::string chat(const std::string& fields) {
  return R"({"messages": [{"role": "user", "content": "x"}])" + (fields.empty() ? "" : ", " + fields) + "}";
}

void expect_refused(Endpoint endpoint, const std::string& fields, const std::string& param) {
  const Refusal got = refusal(endpoint, endpoint == Endpoint::chat ? chat(fields) : completion(fields));
  EXPECT_EQ(got.status, 400) << fields;
  EXPECT_EQ(got.param, param) << fields << ": " << got.message;
  EXPECT_THAT(got.message, HasSubstr(param)) << fields;
}
void expect_refused(const std::string& fields, const std::string& param) {
  expect_refused(Endpoint::chat, fields, param);
  expect_refused(Endpoint::completions, fields, param);
}

TEST(GenerationRequest, RefusesWhatIsInNoTable) {
  expect_refused(R"("temprature": 1)", "temprature");
  EXPECT_THAT(refusal(Endpoint::chat, chat(R"("temprature": 1)")).message,
              HasSubstr("did you mean temperature?"));
  expect_refused(R"("stremo_ptions": 1)", "stremo_ptions");
  expect_refused(R"("completely_else": null)", "completely_else");
  expect_refused(R"("tools": [])", "tools");
  expect_refused(R"("": 1)", "");
  expect_refused(Endpoint::chat, R"("prompt": "x")", "prompt");
  expect_refused(Endpoint::chat, R"("echo": true)", "echo");
  expect_refused(Endpoint::chat, R"("best_of": 2)", "best_of");
  expect_refused(Endpoint::completions, R"("messages": [])", "messages");
  expect_refused(Endpoint::completions, R"("top_logprobs": 1)", "top_logprobs");
  expect_refused(R"("stream": true, "stream_options": {"include_usge": true})", "stream_options");
  const std::string name(100'000, 'n');
  EXPECT_LT(refusal(Endpoint::chat, chat("\"" + name + "\": 1")).message.size(), 400u);
}

TEST(GenerationRequest, TakesWhatChangesNothingHere) {
  for (const char* fields :
       {R"("user": "u")", R"("metadata": {"a": "b"})", R"("store": true)", R"("service_tier": "auto")",
        R"("prompt_cache_key": "k")", R"("safety_identifier": "s")", R"("temperature": null)",
        R"("response_format": {"type": "text"})"}) {
    EXPECT_EQ(refusal(Endpoint::chat, chat(fields)).status, 0) << fields;
    EXPECT_EQ(refusal(Endpoint::completions, completion(fields)).status, 0) << fields;
  }
}

TEST(GenerationRequest, RefusesWrongTypesAndRanges) {
  for (const auto& [field, values] : std::initializer_list<std::pair<const char*, std::vector<const char*>>>{
           {"temperature", {"-1", "\"1\"", "[]", "{}", "true", "1e300"}},
           {"top_p", {"-0.1", "1.5", "\"x\"", "[1]"}},
           {"top_k", {"-2", "1.5", "\"1\"", "1e3", "9223372036854775808"}},
           {"n", {"0", "129", "-1", "1.0", "\"2\"", "[2]", "99999999999999999999"}},
           {"max_tokens", {"-1", "1.5", "\"7\"", "{}"}},
           {"seed", {"1.5", "\"1\"", "18446744073709551616", "[]"}},
           {"stop", {"1", "{}", "[1]", "[[\"a\"]]", "[null]"}},
           {"stop_token_ids", {"[\"a\"]", "[-1]", "[1.5]", "{}"}},
           {"logit_bias", {"[]", "1", "{\"a\": 1}", "{\"1\": \"x\"}", "{\"1\": 101}", "{\"-1\": 1}"}},
           {"bad_words", {"1", "[1]", "{}"}},
           {"ignore_eos", {"1", "\"true\"", "[]"}},
           {"stream", {"1", "\"true\"", "{}"}},
           {"return_token_ids", {"0", "[]"}},
           {"max_streaming_response_tokens", {"0", "-1", "1.5", "\"2\"", "true", "2147483648"}},
           {"model", {"1", "[]", "{}"}},
           {"request_id", {"1", "\"a\\nb\"", "\"\\u00e4\"", "\"\\u0000\""}},
           {"response_format", {"{\"type\": \"json_object\"}"}}})
    for (const char* value : values) expect_refused(fmt::format("\"{}\": {}", field, value), field);
  expect_refused("\"request_id\": \"" + std::string(129, 'a') + "\"", "request_id");
  expect_refused(R"("stream_options": [], "stream": true)", "stream_options");
}

TEST(GenerationRequest, RefusesFieldsThatContradictEachOther) {
  expect_refused(Endpoint::completions, R"("n": 3, "best_of": 2)", "best_of");
  expect_refused(Endpoint::completions, R"("best_of": 2, "stream": true)", "best_of");
  expect_refused(R"("stream_options": {"include_usage": true})", "stream_options");
  expect_refused(Endpoint::chat, R"("top_logprobs": 2)", "top_logprobs");
  expect_refused(Endpoint::chat, R"("top_logprobs": 2, "logprobs": false)", "top_logprobs");
  expect_refused(Endpoint::chat, R"("logprobs": 2)", "logprobs");
  expect_refused(Endpoint::completions, R"("logprobs": true)", "logprobs");
  expect_refused(R"("max_streaming_response_tokens": 2)", "max_streaming_response_tokens");
  expect_refused(Endpoint::completions, R"("disable_chat_template": true)", "disable_chat_template");
  expect_refused(Endpoint::chat, R"("disable_chat_template": 1)", "disable_chat_template");
  expect_refused(Endpoint::chat, R"("disable_chat_template": true, "chat_template": "x")", "chat_template");
  expect_refused(Endpoint::chat, R"("disable_chat_template": true, "chat_template_kwargs": {})",
                 "chat_template_kwargs");
  expect_refused(Endpoint::chat, R"("disable_chat_template": true, "documents": [])", "documents");
  for (const char* messages :
       {"[]", R"([{"role": "user", "content": "x"}, {"role": "user", "content": "y"}])",
        R"([{"role": "user"}])", R"([{"role": "user", "content": null}])"})
    EXPECT_EQ(
        refusal(Endpoint::chat, fmt::format(R"({{"disable_chat_template": true, "messages": {}}})", messages))
            .param,
        "messages")
        << messages;
  expect_refused(R"("min_tokens": 5, "max_tokens": 4)", "min_tokens");
  expect_refused(Endpoint::completions, R"("prompt_token_ids": [1])", "prompt");
  expect_refused(Endpoint::chat, R"("prompt_token_ids": [1])", "messages");
  for (const char* body : {"{}", R"({"prompt": null})", R"({"model": "x"})"})
    EXPECT_EQ(refusal(Endpoint::completions, body).param, "prompt") << body;
  EXPECT_EQ(refusal(Endpoint::chat, "{}").param, "messages");
}

TEST(GenerationRequest, RefusesPromptsOfOtherForms) {
  for (const char* prompt : {"[]", "{}", "1", "true", "[[]]", "[{}]", "[null]", R"(["a", 1])", R"([1, "a"])",
                             "[1.5]", "[-1]", "[[1], \"\", {}]", "[[[1]]]", "[4294967296]"}) {
    const Refusal got = refusal(Endpoint::completions, fmt::format("{{\"prompt\": {}}}", prompt));
    if (std::string_view(prompt) == "[[]]") continue;  // found empty later, by its tokens
    EXPECT_EQ(got.status, 400) << prompt;
    EXPECT_THAT(got.param, testing::StartsWith("prompt")) << prompt << ": " << got.message;
  }
  for (const char* messages :
       {"{}", "1", "[[]]", "[null]", R"(["a"])", R"({"role": "user"})", R"([{"role": 1}])"}) {
    const Refusal got = refusal(Endpoint::chat, fmt::format("{{\"messages\": {}}}", messages));
    EXPECT_EQ(got.status, 400) << messages;
    EXPECT_THAT(got.param, testing::StartsWith("messages")) << messages << ": " << got.message;
  }
}

TEST(GenerationRequest, HasLimitsOnLists) {
  std::string prompts;
  for (int i = 0; i < 1024; ++i) prompts += i == 0 ? "\"a\"" : ",\"a\"";
  const auto body = [](const std::string& list) { return "{\"prompt\": [" + list + "]}"; };
  EXPECT_EQ(parse_generation_request(Endpoint::completions, body(prompts), {}).prompts.size(), 1024u);
  EXPECT_THAT(refusal(Endpoint::completions, body(prompts + ",\"a\"")).message,
              testing::AllOf(HasSubstr("1025"), HasSubstr("1024")));
  std::string many = prompts;
  for (int i = 1; i < 100; ++i) many += "," + prompts;
  EXPECT_THAT(refusal(Endpoint::completions, body(many)).message,
              testing::AllOf(HasSubstr("102400"), HasSubstr("1024")));
  std::string stops, biases;
  for (int i = 0; i < 1100; ++i) {
    stops += fmt::format("{}\"{}\"", i == 0 ? "" : ",", i);
    biases += fmt::format("{}\"{}\": 1", i == 0 ? "" : ",", i);
  }
  expect_refused("\"stop\": [" + stops + "]", "stop");
  expect_refused("\"bad_words\": [" + stops + "]", "bad_words");
  expect_refused("\"logit_bias\": {" + biases + "}", "logit_bias");
}

TEST(GenerationRequest, RefusesWhatIsNoJson) {
  const auto nested = [](int depth) {
    return completion("\"metadata\": " + std::string(static_cast<size_t>(depth), '[') +
                      std::string(static_cast<size_t>(depth), ']'));
  };
  EXPECT_EQ(refusal(Endpoint::completions, nested(255)).status, 0);
  for (const std::string& body : {std::string(),
                                  std::string("{"),
                                  std::string("[]"),
                                  std::string("1"),
                                  std::string("null"),
                                  std::string(R"([{"prompt": "x"}])"),
                                  completion("") + "x",
                                  completion("") + "{}",
                                  completion("") + std::string(1, '\0'),
                                  completion(R"("seed": 1, "seed": 1)"),
                                  completion(R"("metadata": {"a": 1, "a": 2})"),
                                  completion(R"("prompt": "y")"),
                                  completion(R"("temperature": NaN)"),
                                  completion(R"("temperature": Infinity)"),
                                  completion(R"("temperature": 1e999)"),
                                  completion(R"("temperature": -1e999)"),
                                  completion("\"user\": \"\xff\""),
                                  completion("\"user\": \"\xed\xa0\x80\""),
                                  completion("\"user\": \"\xc0\x80\""),
                                  completion("\"user\": \"\xf0\x9f\""),
                                  completion(R"("user": "\ud800")"),
                                  completion("\"user\": \"a\nb\""),
                                  completion("'user': 1"),
                                  completion("// x"),
                                  completion(R"("temperature": 01)"),
                                  completion(R"("temperature": .5)"),
                                  completion("\"seed\": 1,"),
                                  nested(256),
                                  nested(100'000)}) {
    const Refusal got = refusal(Endpoint::completions, body);
    EXPECT_EQ(got.status, 400) << body.substr(0, 200);
    EXPECT_LT(got.message.size(), 1000u);
  }
}

TEST(GenerationRequest, ItsSchemaNamesEveryFieldThatIsTaken) {
  for (const Endpoint endpoint : {Endpoint::chat, Endpoint::completions}) {
    const Json schema = request_schema(endpoint);
    EXPECT_GT(schema["properties"].size(), 30u);
    for (const auto& [name, about] : schema["properties"].items()) {
      const std::string fields = fmt::format("\"{}\": null", name);
      if (name == "prompt" || name == "messages") continue;
      const Refusal got = refusal(endpoint, endpoint == Endpoint::chat ? chat(fields) : completion(fields));
      EXPECT_EQ(got.status, 0) << name << ": " << got.message;
    }
  }
}

}  // namespace
}  // namespace reprise::server
