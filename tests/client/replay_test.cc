// Logs of a server run again: lines, comparison, and whole files against real servers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "client/replay/compare.h"
#include "client/replay/replay.h"
#include "core/error.h"
#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::client {
namespace {

using server::post;
using testing::HasSubstr;

class ReplayFile : public testing::Test {
 protected:
  ReplayFile() : path_(testing::TempDir() + "reprise_replay_" + std::to_string(getpid()) + ".jsonl") {
    std::filesystem::remove(path_);
  }
  ~ReplayFile() override { std::filesystem::remove(path_); }

  void serve_and_log(const std::vector<std::string>& requests) const {
    server::ServerOptions options = server::quiet_server();
    options.service.request_log = std::make_shared<server::RequestLog>(path_);
    const server::ServedModel served(options);
    for (const std::string& request : requests) EXPECT_EQ(served.ask(request).status, 200) << request;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> list;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) list.push_back(line);
    return list;
  }
  void write(const std::vector<std::string>& list) const {
    std::ofstream file(path_);
    for (const std::string& line : list) file << line << "\n";
  }
  ReplayReport replay(const ReplaySettings& settings = {}) {
    const server::ServedModel served;
    const LogFile file(path_);
    HttpLoop loop(parse_server_url(served.server->address()));
    news_.clear();
    return run_replay(file, loop, settings, nullptr, [&](const ReplayNews& news) { news_.push_back(news); });
  }

  const std::string path_;
  std::vector<ReplayNews> news_;
};

// Of every kind there is: streamed, several prompts and outputs, with and without seeds, echoed, cut by a stop string.
const std::vector<std::string> kRequests = {
    post("/v1/completions", R"({"prompt": "It was", "max_tokens": 12, "temperature": 0, "logprobs": 2})"),
    post("/v1/completions", R"({"prompt": "It was", "max_tokens": 12, "stream": true})"),
    post("/v1/completions",
         R"({"prompt": ["It", "She", [5, 6, 7]], "max_tokens": 8, "n": 2, "logprobs": 0})"),
    post("/v1/completions",
         R"({"prompt": ["It", "She"], "max_tokens": 8, "n": 2, "seed": 18446744073709551615})"),
    post("/v1/completions", R"({"prompt": "It was", "max_tokens": 8, "n": 2, "best_of": 4})"),
    post("/v1/completions", R"({"prompt": "It was", "max_tokens": 4, "echo": true, "logprobs": 3})"),
    post("/v1/completions", R"({"prompt": "It was", "max_tokens": 0, "echo": true, "logprobs": 3})"),
    post("/v1/completions", R"({"prompt": "It was", "max_tokens": 30, "stop": ["e", "a"]})"),
    post("/v1/chat/completions",
         R"({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "logprobs": true})"),
    post(
        "/v1/chat/completions",
        R"({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "n": 3, "stream": true, "stream_options": {"include_usage": true}})"),
    post("/v1/messages", R"({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9})"),
};

TEST_F(ReplayFile, FindsAllTheSameInAnyOrder) {
  serve_and_log(kRequests);
  for (const char* order : {"file", "reverse", "shuffle:3"})
    for (const int64_t concurrency : {1, 8}) {
      const ReplayReport report = replay({.order = order, .concurrency = concurrency});
      EXPECT_EQ(report.same, static_cast<int64_t>(kRequests.size())) << order;
      EXPECT_EQ(report.differing + report.failed, 0) << order;
      for (const ReplayNews& news : news_) ADD_FAILURE() << "line " << news.number << ": " << news.what;
      EXPECT_EQ(report.logged_fingerprints, report.found_fingerprints);
    }
}

// A line of which one thing is another one.
std::string changed(const std::string& line, const std::function<void(Json&)>& change) {
  Json json = Json::parse(line);
  change(json["prompts"][0]["outputs"][0]);
  return json.dump();
}

TEST_F(ReplayFile, NamesTheFirstTokenThatDiffers) {
  serve_and_log({kRequests[0], kRequests[10]});
  const auto list = lines();
  const auto id = Json::parse(list[0])["prompts"][0]["outputs"][0]["token_ids"][5].get<int>();
  write({changed(list[0], [&](Json& output) { output["token_ids"][5] = id + 1; })});
  EXPECT_EQ(replay().differing, 1);
  ASSERT_EQ(news_.size(), 1U);
  EXPECT_EQ(news_[0].number, 1U);
  EXPECT_EQ(news_[0].what, fmt::format("output 0 differs at token 5: {} in the log, {} now", id + 1, id));

  write({changed(list[0], [](Json& output) {
    output["token_ids"].push_back(7);
    output["logprobs"].push_back(-1);
  })});
  EXPECT_EQ(replay().differing, 1);
  EXPECT_THAT(news_.at(0).what, HasSubstr("differs at token 12: 7 in the log, the end now"));

  write({changed(list[0], [](Json& output) {
    output["logprobs"][3] = std::nextafter(output["logprobs"][3].get<float>(), 0.0F);
  })});
  EXPECT_EQ(replay().differing, 1);
  EXPECT_THAT(news_.at(0).what, HasSubstr("the log-probability of token 3"));

  write({changed(list[0], [](Json& output) { output["text_fnv1a"] = "0123456789abcdef"; })});
  EXPECT_EQ(replay().differing, 1);
  EXPECT_THAT(news_.at(0).what, HasSubstr("same tokens, but another text"));

  // An endpoint whose replies have no ids: by the text of the tokens.
  write({changed(list[1], [](Json& output) {
    output["token_ids"][4] = output["token_ids"][4] == 300 ? 301 : 300;
    output["text_fnv1a"] = "0123456789abcdef";
  })});
  EXPECT_EQ(replay().differing, 1);
  // The two tokens may begin alike.
  EXPECT_THAT(news_.at(0).what, testing::AnyOf(HasSubstr("another text from about token 4 on"),
                                               HasSubstr("another text from about token 5 on")));
}

TEST_F(ReplayFile, LeavesOutWhatHasNoReply) {
  serve_and_log({kRequests[0], kRequests[0], kRequests[0]});
  auto list = lines();
  const auto with = [](const std::string& line, const char* name, const Json& value) {
    Json json = Json::parse(line);
    json[name] = value;
    return json.dump();
  };
  list[1] = with(list[1], "end", "abort");
  list[2] = with(list[2], "status", 400);
  write(list);
  const ReplayReport report = replay();
  EXPECT_EQ(report.same, 1);
  EXPECT_EQ(report.aborted, 1);
  EXPECT_EQ(report.refused, 1);
}

TEST_F(ReplayFile, TellsWhereTheTargetFails) {
  serve_and_log(
      {post("/v1/completions", R"({"prompt": "It", "max_tokens": 3, "seed": 1, "model": "tiny"})")});
  Json json = Json::parse(lines()[0]);
  json["body"] = R"({"prompt": "It", "max_tokens": 3, "seed": 1, "model": "other"})";
  json["fingerprint"] = "reprise-of-yore";
  write({json.dump()});
  EXPECT_EQ(replay().failed, 1);
  EXPECT_THAT(news_.at(0).what, HasSubstr("status 404: the model 'other' is not served"));
  const ReplayReport report = replay({.keep_model = false});
  EXPECT_EQ(report.same, 1);
  EXPECT_NE(report.logged_fingerprints, report.found_fingerprints);
}

TEST_F(ReplayFile, RefusesBrokenLinesByNumber) {
  serve_and_log({kRequests[0], kRequests[0]});
  const auto list = lines();
  const auto changed_field = [&](const char* name, const Json& value) {
    Json json = Json::parse(list[1]);
    json[name] = value;
    return json.dump();
  };
  const std::vector<std::string> broken = {
      "x",
      "[]",
      "{}",
      "\"text\"",
      std::string(100'000, '['),
      list[1].substr(0, list[1].size() / 2),
      list[1] + list[1],
      changed_field("version", 2),
      changed_field("body", 5),
      changed_field("body", "no JSON"),
      changed_field("body", "[]"),
      changed_field("path", "/x HTTP/1.1\r\nX: y"),
      changed_field("path", "http://elsewhere/"),
      changed_field("drawn_seeds", {1, 2, 3}),
      changed_field("drawn_seeds", {-1}),
      changed_field("drawn_seeds", "x"),
      changed_field("prompts", 5),
      changed_field("prompts", {{{"prompt_tokens", 1}, {"outputs", {{{"token_ids", {-1}}}}}}}),
      changed_field("status", "200"),
  };
  for (const std::string& line : broken) {
    write({list[0], "", line, list[0]});
    try {
      replay();
      ADD_FAILURE() << line.substr(0, 100);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(path_ + " line 3: ")) << line.substr(0, 100);
    }
    const ReplayReport report = replay({.skip_broken = true});
    EXPECT_EQ(report.same, 2) << line.substr(0, 100);
    EXPECT_EQ(report.broken, 1);
  }
  std::ofstream(path_) << list[0] << "\n" << list[1].substr(0, 200);
  try {
    replay();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("it is the last and has no end, as after a crash"));
  }
}

TEST_F(ReplayFile, RefusesWhatIsNoLog) {
  EXPECT_THROW(LogFile("/nonexistent/file"), Error);
  EXPECT_THROW(LogFile("/dev/null"), Error);
  EXPECT_THROW(LogFile{testing::TempDir()}, Error);
  write({});
  EXPECT_THROW(LogFile{path_}, Error);
  EXPECT_THROW(replay_order("--order", "sideways", 1), Error);
  EXPECT_THROW(replay_order("--order", "shuffle:", 1), Error);
  EXPECT_THROW(replay_order("--order", "shuffle:1x", 1), Error);
  EXPECT_THAT(replay_order("--order", "reverse", 3), testing::ElementsAre(2, 1, 0));
  EXPECT_THAT(replay_order("--order", "shuffle:4", 50),
              testing::UnorderedElementsAreArray(replay_order("--order", "file", 50)));
}

TEST(ReplayCalls, GivesEachPromptItsSeed) {
  LoggedLine line{.path = "/v1/completions",
                  .body = R"({"prompt": ["a", [1, 2]], "stream": true, "stream_options": {}, "model": "m"})",
                  .drawn_seeds = {7, 18446744073709551615U},
                  .status = 200};
  line.prompts.resize(2);
  const auto calls = replay_calls(line, true);
  ASSERT_EQ(calls.size(), 2U);
  EXPECT_EQ(calls[0].body, R"({"prompt":"a","stream":false,"model":"m","return_token_ids":true,"seed":7})");
  EXPECT_EQ(
      calls[1].body,
      R"({"prompt":[1,2],"stream":false,"model":"m","return_token_ids":true,"seed":18446744073709551615})");
}

}  // namespace
}  // namespace reprise::client
