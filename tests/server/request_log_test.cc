// --request-log: whose file it is, what is in its lines, and what happens where it can't be written.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/error.h"
#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using testing::HasSubstr;

class RequestLogFile : public testing::Test {
 protected:
  RequestLogFile() : path_(testing::TempDir() + "reprise_requests_" + std::to_string(getpid()) + ".jsonl") {
    std::filesystem::remove(path_);
  }
  ~RequestLogFile() override { std::filesystem::remove_all(path_); }

  std::vector<std::string> lines() const {
    std::vector<std::string> list;
    std::ifstream file(path_);
    for (std::string line; std::getline(file, line);) list.push_back(line);
    return list;
  }
  std::string refusal() const {
    try {
      const RequestLog log(path_);
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  ServerOptions options() const {
    ServerOptions options = quiet_server();
    options.service.request_log = std::make_shared<RequestLog>(path_);
    return options;
  }

  const std::string path_;
};

TEST_F(RequestLogFile, IsItsOwnersAlone) {
  const mode_t before = umask(0);
  {
    RequestLog log(path_);
    log.add("first");
  }
  umask(before);
  struct stat about = {};
  ASSERT_EQ(stat(path_.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600U);
  { RequestLog(path_).add("second"); }
  EXPECT_THAT(lines(), testing::ElementsAre("first", "second"));
  for (const mode_t mode : {0640, 0604, 0620, 0666}) {
    chmod(path_.c_str(), mode);
    EXPECT_THAT(refusal(), HasSubstr("chmod 600 it")) << mode;
  }
  EXPECT_THAT(lines(), testing::SizeIs(2));
}

TEST_F(RequestLogFile, IsRefusedWhereItIsNoFileOfOurs) {
  std::filesystem::create_directory(path_);
  EXPECT_THAT(refusal(), HasSubstr("[--request-log]"));
  std::filesystem::remove(path_);
  mkfifo(path_.c_str(), 0600);
  EXPECT_NE(refusal(), "none");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink("/tmp/elsewhere", path_);
  EXPECT_NE(refusal(), "none");
  std::filesystem::remove(path_);
  const RequestLog first(path_);
  EXPECT_THAT(refusal(), HasSubstr("another process"));
  EXPECT_THROW(RequestLog("/nonexistent/folder/file"), Error);
}

TEST_F(RequestLogFile, IsMadeAgainWhenItWasMoved) {
  RequestLog log(path_);
  log.add("one");
  ASSERT_TRUE(soon([&] { return lines().size() == 1; }));
  std::filesystem::rename(path_, path_ + ".1");
  log.add("two");
  ASSERT_TRUE(soon([&] { return lines() == std::vector<std::string>{"two"}; }));
  std::filesystem::remove(path_ + ".1");
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);  // nothing can be made there now
  log.add("three");
  EXPECT_TRUE(soon([&] { return log.lost() == 1; }));
  std::filesystem::remove(path_);
  log.add("four");
  EXPECT_TRUE(soon([&] { return lines() == std::vector<std::string>{"four"}; }));
  EXPECT_EQ(log.lost(), 1);
}

TEST_F(RequestLogFile, LosesWholeLinesWhereTheDiskIsFull) {
  std::signal(SIGXFSZ, SIG_IGN);
  RequestLog log(path_);
  log.add("fits");
  ASSERT_TRUE(soon([&] { return lines().size() == 1; }));
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 100;
  setrlimit(RLIMIT_FSIZE, &small);
  log.add(std::string(500, 'x'));
  const bool lost = soon([&] { return log.lost() == 1; });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_TRUE(lost);
  log.add("fits again");
  EXPECT_TRUE(soon([&] { return lines() == std::vector<std::string>{"fits", "fits again"}; }));
}

TEST_F(RequestLogFile, HasRequestsAsTheyWereSent) {
  const std::string body =
      R"({"prompt": "It w\u00e9s", "max_tokens": 3, "temperature": 0, "ignore_eos": true, "return_token_ids": true})";
  Json reply;
  {
    const ServedModel served(options());
    reply =
        Json::parse(served.ask(post("/v1/completions", body, "Authorization: Bearer topsecret\r\n")).body);
    EXPECT_EQ(served.ask(post("/v1/completions", R"({"promt": "x"})")).status, 400);
  }
  const auto list = lines();
  ASSERT_EQ(list.size(), 2U);
  EXPECT_THAT(list[0], testing::Not(HasSubstr("topsecret")));
  const Json line = Json::parse(list[0]);
  EXPECT_EQ(line["body"], body);
  EXPECT_EQ(line["path"], "/v1/completions");
  EXPECT_EQ(line["id"], reply["id"]);
  EXPECT_EQ(line["fingerprint"], reply["system_fingerprint"]);
  EXPECT_EQ(line["status"], 200);
  EXPECT_EQ(line["end"], "length");
  EXPECT_FALSE(line.contains("drawn_seeds"));
  const Json& output = line["prompts"][0]["outputs"][0];
  EXPECT_EQ(output["token_ids"], reply["choices"][0]["completion_token_ids"]);
  EXPECT_EQ(output["text_bytes"], reply["choices"][0]["text"].get<std::string>().size());
  EXPECT_FALSE(output.contains("logprobs"));
  const Json refused = Json::parse(list[1]);
  EXPECT_EQ(refused["status"], 400);
  EXPECT_EQ(refused["end"], "error");
}

TEST_F(RequestLogFile, HasTheSeedsThatWereDrawn) {
  {
    const ServedModel served(options());
    served.ask(
        post("/v1/completions", R"({"prompt": ["It", "It"], "max_tokens": 12, "n": 2, "logprobs": 1})"));
    served.ask(post("/v1/completions", R"({"prompt": "It", "max_tokens": 2, "seed": 5})"));
  }
  const Json drawn = Json::parse(lines().at(0)), given = Json::parse(lines().at(1));
  ASSERT_EQ(drawn["drawn_seeds"].size(), 2U);
  EXPECT_NE(drawn["drawn_seeds"][0], drawn["drawn_seeds"][1]);
  const Json& outputs = drawn["prompts"][0]["outputs"];
  ASSERT_EQ(outputs.size(), 2U);
  EXPECT_EQ(outputs[0]["logprobs"].size(), outputs[0]["token_ids"].size());
  EXPECT_NE(outputs[0]["token_ids"], drawn["prompts"][1]["outputs"][0]["token_ids"]);
  EXPECT_FALSE(given.contains("drawn_seeds"));
}

TEST_F(RequestLogFile, MarksWhatWasAborted) {
  const ServedModel served(options());
  Client client = served.connect();
  client.send(endless(true));
  client.read_until("data: ");
  client.close();
  ASSERT_TRUE(soon([&] { return lines().size() == 1; }));
  EXPECT_EQ(Json::parse(lines()[0])["end"], "abort");
}

TEST_F(RequestLogFile, ServingGoesOnWithoutIt) {
  const ServedModel served(options());
  std::filesystem::remove(path_);
  std::filesystem::create_directory(path_);
  EXPECT_EQ(served.ask(kShort).status, 200);
  EXPECT_TRUE(soon([&] {
    return served.ask(get("/metrics")).body.find("reprise:request_log_lines_lost_total 1\n") !=
           std::string::npos;
  }));
}

}  // namespace
}  // namespace reprise::server
