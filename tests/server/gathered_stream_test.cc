// Streams whose chunks wait for several tokens (max_streaming_response_tokens) say the same as whole replies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

struct Output {
  std::string text, finish_reason;
  std::vector<int> ids;
  Json logprobs = Json::array();  // of chats a list; of completions text_offset, tokens and values
  std::vector<size_t> sizes;      // tokens of each chunk
};

void add_logprobs(Output& output, const Json& logprobs) {
  if (logprobs.is_null()) return;
  if (logprobs.contains("content")) {
    for (const Json& token : logprobs["content"]) output.logprobs.push_back(token);
    return;
  }
  for (size_t i = 0; i < logprobs["tokens"].size(); ++i)
    output.logprobs.push_back({logprobs["tokens"][i], logprobs["token_logprobs"][i],
                               logprobs["text_offset"][i], logprobs["top_logprobs"][i]});
}

void add_choice(std::map<int, Output>& outputs, const Json& choice, const char* message) {
  Output& output = outputs[choice["index"]];
  EXPECT_EQ(output.finish_reason, "") << "something follows the end";
  output.text += choice.contains("text") ? choice["text"].get<std::string>()
                                         : choice[message].value("content", std::string());
  for (const Json& id : choice["completion_token_ids"]) output.ids.push_back(id);
  output.sizes.push_back(choice["completion_token_ids"].size());
  add_logprobs(output, choice["logprobs"]);
  if (choice["finish_reason"].is_string()) output.finish_reason = choice["finish_reason"];
}

std::map<int, Output> whole_reply(const ServedModel& served, const std::string& path, const Json& body,
                                  Json& usage) {
  const Json reply = Json::parse(served.ask(post(path, body.dump())).body);
  std::map<int, Output> outputs;
  for (const Json& choice : reply["choices"]) add_choice(outputs, choice, "message");
  usage = reply["usage"];
  return outputs;
}

std::map<int, Output> streamed(const ServedModel& served, const std::string& path, Json body, int gathered,
                               Json& usage) {
  body.update({{"stream", true},
               {"max_streaming_response_tokens", gathered},
               {"stream_options", {{"include_usage", true}, {"continuous_usage_stats", true}}}});
  const std::string events = served.ask(post(path, body.dump())).body;
  std::map<int, Output> outputs;
  int64_t counted = 0;
  for (size_t at = 0; (at = events.find("data: {", at)) != std::string::npos; ++at) {
    const Json chunk = Json::parse(events.substr(at + 6, events.find('\n', at) - at - 6));
    EXPECT_FALSE(chunk.contains("error")) << chunk.dump();
    EXPECT_GE(chunk["usage"]["completion_tokens"].get<int64_t>(), counted);
    counted = chunk["usage"]["completion_tokens"];
    for (const Json& choice : chunk["choices"]) add_choice(outputs, choice, "delta");
    usage = chunk["usage"];
  }
  EXPECT_TRUE(events.ends_with("data: [DONE]\n\n"));
  return outputs;
}

void expect_same(const ServedModel& served, const std::string& path, const Json& body) {
  SCOPED_TRACE(path + body.dump());
  Json usage;
  const std::map<int, Output> whole = whole_reply(served, path, body, usage);
  ASSERT_FALSE(whole.empty());
  for (const int gathered : {1, 2, 3, 7, 64, 100'000}) {
    Json streamed_usage;
    const std::map<int, Output> outputs = streamed(served, path, body, gathered, streamed_usage);
    EXPECT_EQ(outputs.size(), whole.size());
    EXPECT_EQ(streamed_usage["completion_tokens"], usage["completion_tokens"]);
    EXPECT_EQ(streamed_usage["prompt_tokens"], usage["prompt_tokens"]);
    for (const auto& [index, expected] : whole) {
      const Output& output = outputs.at(index);
      EXPECT_EQ(output.text, expected.text) << gathered;
      EXPECT_EQ(output.ids, expected.ids) << gathered;
      EXPECT_EQ(output.logprobs, expected.logprobs) << gathered;
      EXPECT_EQ(output.finish_reason, expected.finish_reason) << gathered;
      for (size_t i = 0; i + 1 < output.sizes.size(); ++i)
        EXPECT_EQ(output.sizes[i], static_cast<size_t>(gathered))
            << "chunk " << i << " of " << output.sizes.size();
      EXPECT_LE(output.sizes.back(), static_cast<size_t>(gathered));
    }
  }
}

TEST(GatheredStream, SaysWhatAWholeReplySays) {
  const ServedModel served;
  const Json base = {{"max_tokens", 40}, {"seed", 3}, {"return_token_ids", true}, {"ignore_eos", true}};
  const auto with = [&](const Json& more) {
    Json body = base;
    body.update(more);
    return body;
  };
  const Json prompt = {{"prompt", "Once upon a time"}},
             messages = {{"messages", {{{"role", "user"}, {"content", "Once upon a time"}}}},
                         {"disable_chat_template", true}};
  for (const Json& more :
       {Json::object(), Json{{"n", 3}}, Json{{"max_tokens", 1}}, Json{{"ignore_eos", false}},
        Json{{"include_stop_str_in_output", true}, {"stop", "e"}}}) {
    Json body = with(prompt);
    body.update(more);
    expect_same(served, "/v1/completions", body);
    body["logprobs"] = 2;
    expect_same(served, "/v1/completions", body);
    body["echo"] = true;
    expect_same(served, "/v1/completions", body);
    body = with(messages);
    body.update(more);
    expect_same(served, "/v1/chat/completions", body);
    body.update({{"logprobs", true}, {"top_logprobs", 3}});
    expect_same(served, "/v1/chat/completions", body);
  }
  expect_same(served, "/v1/completions", with({{"prompt", {"Once", "It was", "She"}}, {"n", 2}}));
  expect_same(served, "/v1/completions",
              with({{"prompt", "Once"}, {"max_tokens", 0}, {"echo", true}, {"logprobs", 1}}));
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
}

// At every place of the text, within a token and across several.
TEST(GatheredStream, NeverLeaksAStopString) {
  const ServedModel served;
  Json body = {{"prompt", "Once upon a time"}, {"max_tokens", 30}, {"seed", 3}, {"ignore_eos", true}};
  const std::string text =
      Json::parse(served.ask(post("/v1/completions", body.dump())).body)["choices"][0]["text"];
  ASSERT_GT(text.size(), 20u);
  for (size_t at = 0; at + 6 < text.size(); at += 7)
    for (const size_t length : {size_t{1}, size_t{6}}) {
      const std::string stop = text.substr(at, length);
      body.update({{"stop", stop}, {"return_token_ids", true}});
      expect_same(served, "/v1/completions", body);
      Json usage;
      for (const auto& [index, output] : streamed(served, "/v1/completions", body, 5, usage))
        EXPECT_EQ(output.text.find(stop), std::string::npos) << stop;
    }
}

TEST(GatheredStream, KeepsWhatWasMadeWhenItIsAborted) {
  ServedModel served;
  Client client = served.connect();
  client.send(
      post("/v1/completions", R"({"prompt": "Once", "max_tokens": 500, "ignore_eos": true, "stream": true,
      "max_streaming_response_tokens": 100000, "return_token_ids": true, "request_id": "a"})"));
  EXPECT_TRUE(soon([&] { return served.model.stats().generated_tokens > 5; }));
  served.server->begin_drain();
  served.server.reset();
  const std::string rest = client.read_all();
  EXPECT_THAT(rest, testing::HasSubstr("\"finish_reason\":\"abort\""));
  EXPECT_THAT(rest, testing::Not(testing::HasSubstr("\"completion_token_ids\":[]")));
}

}  // namespace
}  // namespace reprise::server
