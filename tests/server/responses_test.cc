// /v1/responses: its body, its reply, and the order of its events.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/json.h"
#include "server/api_error.h"
#include "server/responses/responses_request.h"
#include "server/responses/responses_writer.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

HttpRequest with_body(const std::string& body) {
  HttpRequest request;
  request.body = body;
  return request;
}
GenerationRequest parsed(const std::string& fields, const std::string& input = "\"x\"") {
  return parse_responses_request(
      with_body("{\"input\": " + input + (fields.empty() ? "" : ", " + fields) + "}"), {});
}
Json messages_of(const GenerationRequest& request) {
  return Json::parse(request.prompts.at(0).messages_json);
}

void expect_refused(const std::string& body, const std::string& param, const std::string& says = {}) {
  try {
    parse_responses_request(with_body(body), {});
    ADD_FAILURE() << "was taken: " << body;
  } catch (...) {
    const ApiError error = api_error_of_current();
    EXPECT_EQ(error.status, 400) << body;
    EXPECT_EQ(error.param, param) << body << ": " << error.what();
    EXPECT_THAT(error.what(), HasSubstr(says)) << body;
    EXPECT_LT(std::string_view(error.what()).size(), 1000U);
  }
}

TEST(ResponsesRequest, ReadsInputInEveryForm) {
  const Json one = Json::parse(R"([{"role": "user", "content": "x"}])");
  EXPECT_EQ(messages_of(parsed("")), one);
  for (const char* input :
       {R"([{"role": "user", "content": "x"}])", R"([{"type": "message", "role": "user", "content": "x"}])",
        R"([{"role": "user", "content": [{"type": "input_text", "text": "x"}]}])"})
    EXPECT_EQ(messages_of(parsed("", input)), one) << input;
  // Developer and system are one role, and turns of one role in a row are one.
  EXPECT_EQ(messages_of(parsed(R"("instructions": "I")", R"([
      {"role": "developer", "content": "D"}, {"role": "system", "content": "S"}, {"role": "user", "content": "a"},
      {"role": "user", "content": [{"type": "input_text", "text": "b"}, {"type": "input_text", "text": "c"}]},
      {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
       "content": [{"type": "output_text", "text": "d", "annotations": [], "logprobs": []}]},
      {"role": "user", "content": "e"}])")),
            Json::parse(R"([{"role": "system", "content": "I\nD\nS"}, {"role": "user", "content": "a\nb\nc"},
                            {"role": "assistant", "content": "d"}, {"role": "user", "content": "e"}])"));
  EXPECT_EQ(messages_of(parsed(R"("instructions": "")")), one);
}

TEST(ResponsesRequest, ReadsItsFields) {
  const GenerationRequest request = parsed(
      R"("max_output_tokens": 7, "temperature": 0.7, "top_p": 0.9, "seed": 3, "min_p": 0.1, "top_k": 5, "stop": "z",
         "include": ["message.output_text.logprobs"], "top_logprobs": 4, "stream": true, "request_id": "mine",
         "chat_template_kwargs": {"a": 1}, "metadata": {"k": "v"})");
  const Sampling& sampling = request.prompts[0].sampling;
  EXPECT_EQ(sampling.max_tokens, 7);
  EXPECT_EQ(sampling.seed, 3U);
  EXPECT_EQ(sampling.top_k, 5);
  EXPECT_EQ(sampling.logprobs, 4);
  EXPECT_THAT(sampling.stop, ElementsAre("z"));
  EXPECT_TRUE(request.stream && request.wants_logprobs && request.ignored.empty());
  EXPECT_EQ(request.request_id, "mine");
  const Json repeated = Json::parse("{" + request.repeated + "}");
  EXPECT_EQ(repeated["temperature"], 0.7);
  EXPECT_EQ(repeated["top_p"], 0.9);
  EXPECT_EQ(repeated["top_logprobs"], 4);
  EXPECT_EQ(repeated["metadata"], Json({{"k", "v"}}));
  EXPECT_EQ(repeated["max_output_tokens"], 7);
  EXPECT_FALSE(parsed("\"top_logprobs\": 0").wants_logprobs);
}

// What the Codex command sends.
TEST(ResponsesRequest, LeavesOutWhatOnlyAHostedServiceKnows) {
  const GenerationRequest request = parsed(
      R"("instructions": "You are a coding agent.", "tools": [{"type": "function", "name": "shell", "strict": false,
         "parameters": {"type": "object"}}], "tool_choice": "auto", "parallel_tool_calls": true,
         "reasoning": {"effort": "medium", "summary": "auto"}, "store": false, "stream": true,
         "include": ["reasoning.encrypted_content"], "prompt_cache_key": "c", "service_tier": "auto",
         "text": {"verbosity": "low"}, "truncation": "auto", "max_tool_calls": null, "user": "u")",
      R"([{"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "D"}]},
          {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA=="},
          {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "U"}]}])");
  EXPECT_THAT(request.ignored, testing::UnorderedElementsAre(
                                   "tools", "tool_choice", "parallel_tool_calls", "reasoning",
                                   "include.reasoning.encrypted_content", "text.verbosity", "truncation"));
  EXPECT_EQ(messages_of(request).size(), 2U);
  EXPECT_EQ(parsed(R"("reasoning": null, "tools": null, "text": null, "include": null, "background": false,
                      "previous_response_id": null, "conversation": null, "truncation": "disabled")")
                .ignored.size(),
            0U);
}

TEST(ResponsesRequest, RefusesByName) {
  const std::string x = R"({"input": "x", )";
  expect_refused("{}", "input");
  expect_refused(R"({"instructions": "x"})", "input");
  for (const char* input :
       {"1", "[]", "{}", "[1]", "[[]]", "[null]", R"([{"role": 1, "content": "x"}])",
        R"([{"role": "robot", "content": "x"}])", R"([{"role": "user"}])",
        R"([{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}])",
        R"([{"role": "user", "content": [{"type": "input_text"}]}])",
        R"([{"role": "user", "content": [{"text": "x"}]}])", R"([{"type": "reasoning"}])",
        R"([{"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}])",
        R"([{"type": "function_call_output", "call_id": "c", "output": "o"}])",
        R"([{"type": "item_reference", "id": "msg_1"}])", R"([{"role": "assistant", "content": "x"}])"})
    expect_refused(fmt::format("{{\"input\": {}}}", input), "input");
  expect_refused(x + R"("previous_response_id": "resp_1"})", "previous_response_id", "keeps none");
  expect_refused(x + R"("conversation": "conv_1"})", "conversation", "keeps none");
  expect_refused(x + R"("conversation": {"id": "conv_1"}})", "conversation", "keeps none");
  expect_refused(x + R"("prompt": {"id": "p"}})", "prompt", "keeps none");
  expect_refused(x + R"("background": true})", "background");
  for (const char* format : {R"({"type": "json_object"})", R"({"type": "json_schema", "schema": {}})"})
    expect_refused(x + fmt::format("\"text\": {{\"format\": {}}}}}", format), "text.format");
  for (const auto& [field, values] : std::initializer_list<std::pair<const char*, std::vector<const char*>>>{
           {"max_output_tokens", {"0", "-1", "1.5", "\"7\"", "2147483648"}},
           {"temperature", {"-1", "\"1\""}},
           {"top_logprobs", {"1", "-1", "\"1\""}},
           {"include", {"\"x\"", "{}", "[1]"}},
           {"instructions", {"1", "[]", "{}"}},
           {"stream", {"1", "\"true\""}},
           {"stream_options", {"1", "{\"include_usage\": true}"}},
           {"truncation", {"\"middle\"", "1"}},
           {"metadata", {"1", "[]", "{\"a\": 1}", "{\"a\": null}"}},
           {"text", {"1", "\"x\"", "{\"format\": 1}", "{\"format\": {}}"}},
           {"request_id", {"1", "\"a\\nb\""}},
           {"background", {"1"}}})
    for (const char* value : values) {
      const std::string body = x + fmt::format("\"{}\": {}}}", field, value);
      try {
        parse_responses_request(with_body(body), {});
        ADD_FAILURE() << body;
      } catch (...) {
        EXPECT_THAT(api_error_of_current().param, testing::StartsWith(field)) << body;
      }
    }
  for (const char* field : {"n", "max_tokens", "max_completion_tokens", "logprobs", "echo", "messages"})
    expect_refused(x + fmt::format("\"{}\": 1}}", field), field, "no field of this endpoint");
  expect_refused(x + R"("max_output_token": 1})", "max_output_token", "did you mean max_output_tokens?");
  std::string pairs, items;
  for (int i = 0; i < 17; ++i) pairs += fmt::format("{}\"{}\": \"v\"", i == 0 ? "" : ",", i);
  expect_refused(x + "\"metadata\": {" + pairs + "}}", "metadata", "16");
  expect_refused(x + "\"metadata\": {\"k\": \"" + std::string(513, 'v') + "\"}}", "metadata", "512");
  for (int i = 0; i < 10'000; ++i) items += R"({"role": "user", "content": "x"},)";
  expect_refused("{\"input\": [" + items + items + R"({"role": "user", "content": "x"}]})", "input", "20001");
}

TEST(ResponsesRequest, ItsSchemaNamesEveryFieldThatIsTaken) {
  const Json schema = responses_schema();
  EXPECT_GT(schema["properties"].size(), 40U);
  for (const auto& [name, about] : schema["properties"].items()) {
    if (name == "input") continue;
    EXPECT_TRUE(parsed(fmt::format("\"{}\": null", name)).ignored.empty()) << name;
  }
}

// One server-sent event.
struct Event {
  std::string name;
  Json data;
};
std::vector<Event> events_of(const std::string& stream) {
  std::vector<Event> events;
  for (size_t at = 0; at < stream.size();) {
    const size_t end = stream.find("\n\n", at);
    const std::string event = stream.substr(at, end - at);
    at = end + 2;
    if (event.starts_with(':')) continue;
    const size_t data = event.find("\ndata: ");
    EXPECT_TRUE(event.starts_with("event: ") && data != std::string::npos) << event;
    events.push_back({event.substr(7, data - 7), Json::parse(event.substr(data + 7))});
    EXPECT_EQ(events.back().data.at("type"), events.back().name);
    EXPECT_EQ(events.back().data.at("sequence_number"), events.size() - 1);
  }
  return events;
}
std::vector<std::string> kinds_of(const std::vector<Event>& events) {
  std::vector<std::string> kinds;
  for (const Event& event : events)
    if (kinds.empty() || kinds.back() != event.name) kinds.push_back(event.name);
  return kinds;
}

TEST(Responses, AStreamHasTheEventsOfItsReplyInOrder) {
  const ServedModel served;
  for (
      const char* more :
      {R"("max_output_tokens": 5, "ignore_eos": true)", R"("max_output_tokens": 40, "stop": ["e"])",
       R"("max_output_tokens": 6, "ignore_eos": true, "include": ["message.output_text.logprobs"], "top_logprobs": 2)"}) {
    const std::string body =
        fmt::format(R"({{"input": "Tell", "temperature": 1, "seed": 4, {}, "metadata": {{"k": "v"}})", more);
    const Reply reply = served.ask(post("/v1/responses", body + "}"));
    ASSERT_EQ(reply.status, 200) << reply.body;
    Json whole = Json::parse(reply.body);
    EXPECT_EQ(whole["id"], reply.field("x-request-id"));
    EXPECT_EQ(whole["metadata"], Json({{"k", "v"}}));
    const Json& usage = whole["usage"];
    EXPECT_EQ(usage["total_tokens"], usage["input_tokens"].get<int>() + usage["output_tokens"].get<int>());
    EXPECT_EQ(usage["input_tokens"],
              Json::parse(served.ask(post("/v1/responses/input_tokens", body + "}")).body)["input_tokens"]);
    const bool cut = std::string(more).find("stop") == std::string::npos;
    EXPECT_EQ(whole["status"], cut ? "incomplete" : "completed");
    EXPECT_EQ(whole["incomplete_details"], cut ? Json({{"reason", "max_output_tokens"}}) : Json());
    const Json part = whole["output"][0]["content"][0];
    EXPECT_EQ(part["logprobs"].size(), std::string(more).find("include") == std::string::npos ? 0U : 6U);

    const Reply streamed = served.ask(post("/v1/responses", body + R"(, "stream": true})"));
    EXPECT_THAT(streamed.field("content-type"), HasSubstr("text/event-stream"));
    const std::vector<Event> events = events_of(streamed.body);
    EXPECT_THAT(kinds_of(events),
                ElementsAre("response.created", "response.in_progress", "response.output_item.added",
                            "response.content_part.added", "response.output_text.delta",
                            "response.output_text.done", "response.content_part.done",
                            "response.output_item.done", cut ? "response.incomplete" : "response.completed"));
    std::string text;
    Json logprobs = Json::array();
    for (const Event& event : events) {
      if (event.name != "response.output_text.delta") continue;
      text += event.data["delta"].get<std::string>();
      for (const Json& token : event.data["logprobs"]) logprobs.push_back(token);
    }
    EXPECT_EQ(part["text"], text);
    EXPECT_EQ(logprobs, part["logprobs"]);
    EXPECT_EQ(events[events.size() - 4].data["text"], text);
    EXPECT_EQ(events[events.size() - 4].data["logprobs"], logprobs);
    EXPECT_EQ(events[events.size() - 3].data["part"], part);
    EXPECT_TRUE(events[0].data["response"]["output"].empty() &&
                events[0].data["response"]["usage"].is_null());
    Json last = events.back().data["response"];
    EXPECT_EQ(events[events.size() - 2].data["item"], last["output"][0]);
    EXPECT_EQ(events[4].data["item_id"], last["output"][0]["id"]);
    for (Json* each : {&whole, &last}) {  // names and times of their own
      each->erase("id");
      each->erase("created_at");
      (*each)["output"][0].erase("id");
    }
    EXPECT_EQ(last, whole);
  }
}

TEST(Responses, ErrorsAreStatusesAndNameTheField) {
  const ServedModel served;
  std::string words;
  for (int i = 0; i < 3000; ++i) words += "word ";
  for (const char* stream : {"true", "false"}) {
    const auto ask = [&](const std::string& fields) {
      return served.ask(post("/v1/responses", fmt::format(R"({{"stream": {}, {}}})", stream, fields)));
    };
    const auto expect = [&](const Reply& reply, int status, const char* param, const char* code) {
      EXPECT_EQ(reply.status, status) << reply.body;
      const Json error = Json::parse(reply.body).at("error");
      EXPECT_EQ(error.at("param"), param);
      EXPECT_EQ(error.at("code"), code);
    };
    expect(ask("\"input\": \"" + words + "\""), 400, "input", "context_length_exceeded");
    expect(ask(R"("input": "x", "model": "gpt-5")"), 404, "model", "model_not_found");
    expect(ask(R"("input": "x", "include": ["message.output_text.logprobs"], "top_logprobs": 21)"), 400,
           "top_logprobs", "invalid_value");
    expect(ask(R"("input": "x", "stop_token_ids": [1536])"), 400, "stop_token_ids", "invalid_value");
  }
  EXPECT_EQ(served.ask(get("/v1/responses")).status, 405);
  EXPECT_EQ(served.ask(get("/v1/responses/resp_1")).status, 404);
}

TEST(Responses, AFaultEndsTheStreamWithAnEventAndWhatWasMade) {
  GenerationRequest request = parsed(R"("stream": true, "include": ["message.output_text.logprobs"])");
  ResponsesWriter writer(request, {.id = "resp_7", .created = 1, .model = "m", .fingerprint = "f"});
  std::string stream;
  writer.begin_stream({.prompt_tokens = 3}, stream);
  api::OutputDelta delta;
  delta.text = "a\"b";
  delta.logprobs = {{.token_id = 1, .logprob = -1, .top = {}}};
  writer.add(0, delta, {}, stream);
  writer.fail_stream(ApiError(500, "the engine \"stopped\""), {.prompt_tokens = 3, .output_tokens = 1},
                     stream);
  const std::vector<Event> events = events_of(stream);
  ASSERT_EQ(events.size(), 7U);
  EXPECT_EQ(events[5].name, "error");
  EXPECT_EQ(events[5].data["message"], "the engine \"stopped\"");
  EXPECT_TRUE(events[5].data["param"].is_null());
  EXPECT_EQ(events[6].name, "response.failed");
  const Json& response = events[6].data["response"];
  EXPECT_EQ(response["status"], "failed");
  EXPECT_EQ(response["error"], Json({{"code", "server_error"}, {"message", "the engine \"stopped\""}}));
  EXPECT_EQ(response["output"][0]["status"], "incomplete");
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "a\"b");
  EXPECT_EQ(response["usage"]["total_tokens"], 4);
}

// Who aborts it is somebody else: a failure for the client.
TEST(Responses, AnAbortedReplyFails) {
  for (const bool stream : {true, false}) {
    GenerationRequest request = parsed(stream ? "\"stream\": true" : "");
    ResponsesWriter writer(request, {.id = "resp_7", .created = 1, .model = "m", .fingerprint = "f"});
    std::string text;
    if (stream) writer.begin_stream({}, text);
    api::OutputDelta delta;
    delta.text = "a";
    delta.complete = true;
    delta.finish_reason = "abort";
    writer.add(0, delta, {}, text);
    if (stream) writer.finish_stream({}, text);
    const Json response = stream ? events_of(text).back().data["response"] : Json::parse(writer.whole({}));
    EXPECT_EQ(response["status"], "failed");
    EXPECT_EQ(response["error"]["code"], "server_error");
    EXPECT_EQ(response["output"][0]["content"][0]["text"], "a");
  }
}

}  // namespace
}  // namespace reprise::server
