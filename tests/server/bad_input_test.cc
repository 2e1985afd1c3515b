// What is malformed, too large or of another kind, byte by byte through a socket.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;

// OpenAI's error object, and nothing else.
void expect_error(const Reply& reply, int status, const std::string& code = {}) {
  EXPECT_EQ(reply.status, status) << reply.body;
  EXPECT_EQ(reply.field("content-type"), "application/json");
  const Json json = Json::parse(reply.body);
  const Json& error = json.at("error");
  EXPECT_FALSE(error.at("message").get<std::string>().empty());
  EXPECT_TRUE(error.contains("type") && error.contains("param") && error.contains("code"));
  if (!code.empty()) {
    EXPECT_EQ(error.at("code"), code) << reply.body;
  }
}

// Names that a client makes up come back in a field of the head, where a line end would begin a field of theirs.
TEST(BadInput, NamesWithLineEndsStayOutOfTheHead) {
  const ServedModel served;
  const Reply reply = served.ask(post("/v1/messages", R"({"max_tokens": 1, "tools": [], "messages":
      [{"role": "user", "content": "Hi", "a\r\nX-Evil: yes": 1, "\r\n\r\n{}": 1, "kind": 1}]})"));
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_EQ(reply.field("x-evil"), "");
  EXPECT_EQ(reply.field("x-reprise-ignored"), "tools, (unnamed), kind");
  std::string many = R"({"max_tokens": 1, "messages": [{"role": "user", "content": "Hi")";
  for (int i = 0; i < 50'000; ++i) many += fmt::format(R"(, "k{}": 1)", i);
  const Reply bounded = served.ask(post("/v1/messages", many + "}]}"));
  EXPECT_EQ(bounded.status, 200) << bounded.body.substr(0, 200);
  EXPECT_LT(bounded.field("x-reprise-ignored").size(), 4096U);
}

TEST(BadInput, HasAStatusOfItsOwn) {
  const ServedModel served;
  const auto complete = [](const std::string& body) { return post("/v1/completions", body); };
  expect_error(served.ask(get("/nowhere")), 404, "no_such_path");
  expect_error(served.ask(complete(R"({"model": "other", "prompt": "x"})")), 404, "model_not_found");
  expect_error(served.ask(get("/v1/models/other")), 404, "model_not_found");
  for (const char* method : {"GET", "PUT", "DELETE", "OPTIONS", "TRACE", "GET2"}) {
    const Reply reply = served.ask(get("/v1/completions", "", method));
    expect_error(reply, 405);
    EXPECT_EQ(reply.field("allow"), "POST");
  }
  const Reply reply = served.ask(post("/v1/models/tiny", "{}"));
  expect_error(reply, 405);
  EXPECT_EQ(reply.field("allow"), "GET");
  expect_error(served.ask("POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
                          "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}"),
               415);
  expect_error(served.ask(complete("{")), 400);
  expect_error(served.ask(complete(R"({"prompt": "x", "temprature": 1})")), 400, "unknown_field");
  expect_error(served.ask(complete(R"({"prompt": ""})")), 400);
  expect_error(served.ask(complete(R"({"prompt": [[]]})")), 400);
  expect_error(served.ask(complete(R"({"prompt": [1536]})")), 400, "bad_token_id");
  expect_error(served.ask(complete(R"({"prompt": "x", "stop_token_ids": [1536]})")), 400);
  expect_error(served.ask(complete(R"({"prompt": "x", "logprobs": 21})")), 400);
  std::string ids = "1";
  for (int i = 0; i < 600; ++i) ids += ",1";
  for (const char* stream : {"true", "false"}) {
    const Reply too_long =
        served.ask(complete(fmt::format(R"({{"prompt": [{}], "stream": {}}})", ids, stream)));
    expect_error(too_long, 400, "context_length_exceeded");
    EXPECT_THAT(too_long.body, testing::AllOf(HasSubstr("601"), HasSubstr("512")));
  }
  for (const char* path : {"/tokenize", "/detokenize"})
    for (const char* body :
         {"", "[]", "{}", "{\"prompt\": 1}", "{\"tokens\": [99999]}", "{\"tokens\": {}}", "{\"x\": 1}",
          "{\"messages\": {}}", "{\"tokens\": [1], \"tokens\": [1]}", "{\"prompt\": \"\xff\"}"})
      expect_error(served.ask(post(path, body)), 400);
  EXPECT_EQ(served.model.stats().generated_tokens, 0) << "before any step";
  EXPECT_TRUE(served.at_rest());
}

TEST(BadInput, AHundredThousandPromptsAreRefusedAtOnce) {
  const ServedModel served;
  std::string body = R"({"prompt": ["a")";
  for (int i = 1; i < 100'000; ++i) body += ",\"a\"";
  const auto start = std::chrono::steady_clock::now();
  const Reply reply = served.ask(post("/v1/completions", body + "]}"));
  expect_error(reply, 400, "too_many_prompts");
  EXPECT_LT(std::chrono::steady_clock::now() - start, kSoon);
}

TEST(BadInput, TooLargeIsRefusedBeforeItIsRead) {
  ServerOptions options = quiet_server();
  options.http.max_body_bytes = 1000;
  const ServedModel served(options);
  const std::string head = "POST /v1/completions HTTP/1.1\r\nHost: x\r\n";
  for (const char* length : {"1001", "9999999999", "123456789012345678"})
    expect_error(served.ask(head + "Content-Length: " + length + "\r\n\r\n"), 413);
  expect_error(served.ask(head + "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"), 413);
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& chunks : {"3e9\r\n"s, "ffffffff\r\n"s, "7fffffffffffffff\r\n"s,
                                    "1f4\r\n" + std::string(500, ' ') + "\r\n1f5\r\n"})
    expect_error(served.ask(chunked + chunks), 413);
  EXPECT_EQ(served.ask(post("/v1/completions", R"({"prompt": "x", "max_tokens": 1})" + std::string(900, ' ')))
                .status,
            200);
  expect_error(served.ask("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"), 414);
  expect_error(served.ask(get("/ping", "X: " + std::string(size_t{65} << 10, 'a') + "\r\n")), 431);
  expect_error(served.ask("GET /ping HTTP/1.1\r\nX: " + std::string(size_t{1} << 20, 'a')), 431);
  std::string fields;
  for (int i = 0; i < 100; ++i) fields += "x: y\r\n";
  expect_error(served.ask(get("/ping", fields)), 431);
}

TEST(BadInput, AHeadThatTwoReadersReadDifferentlyEndsTheConnection) {
  const ServedModel served;
  const std::string hidden = get("/hidden");
  const auto with = [&](const std::string& fields) {
    return "POST /v1/completions HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n" + hidden;
  };
  for (const std::string& request :
       {with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        with("Content-Length: 3\r\nContent-Length: 3\r\n"), with("Content-Length: +5\r\n"),
        with("Content-Length: 5,5\r\n"), with("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n"),
        with("X: 1\nContent-Length: 5\r\n"), with("X: 1\rY: 2\r\n"), with("X: 1\r\n folded\r\n"),
        with("X: \0\r\n"s), with("Host: y\r\n"), with("Content-Length : 5\r\n"),
        "GET /ping HTTP/1.1\r\n\r\n" + hidden,
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        "GET /ping HTTP/1.1\n\n" + hidden}) {
    Client client = served.connect();
    client.send(request);
    const std::string all = client.read_all();
    EXPECT_TRUE(all.starts_with("HTTP/1.1 400 ")) << request << all;
    EXPECT_EQ(all.find("HTTP/1.1", 1), std::string::npos) << "something behind it was answered: " << all;
    EXPECT_THAT(all, HasSubstr("\r\nConnection: close\r\n"));
  }
}

TEST(BadInput, MalformedChunksEndTheConnection) {
  const ServedModel served;
  const std::string head = "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string body = R"({"prompt": "x"})";  // 0xf bytes
  Client client = served.connect();
  client.send(head + "8;a=b\r\n" + body.substr(0, 8) + "\r\n7\r\n" + body.substr(8) +
              "\r\n0\r\nTrailer: x\r\n\r\n" + get("/ping"));
  EXPECT_EQ(client.reply().status, 200);
  EXPECT_EQ(client.reply().body, R"({"status":"ok"})");
  for (const std::string& chunks :
       {"g\r\n"s, "f\n" + body + "\n0\n\n", "f\r\n" + body + "x\r\n0\r\n\r\n", "-1\r\n\r\n"s,
        "0x0f\r\n" + body + "\r\n0\r\n\r\n", "10000000000000000f\r\n" + body + "\r\n0\r\n\r\n", "f\r" + body,
        "\r\n0\r\n\r\n"s, " f\r\n" + body + "\r\n0\r\n\r\n", "f\r\n" + body + "\r\n0\r\nBad trailer\r\n\r\n",
        "f;\x01\r\n" + body + "\r\n0\r\n\r\n"}) {
    Client other = served.connect();
    other.send(head + chunks + get("/ping"));
    other.half_close();
    const std::string all = other.read_all();
    EXPECT_TRUE(all.empty() || all.starts_with("HTTP/1.1 4")) << chunks << all;
    EXPECT_EQ(all.find("\"ok\""), std::string::npos) << "what is behind it was read as a request: " << chunks;
  }
}

TEST(BadInput, AChunkLineOrTrailerWithoutEndIsBounded) {
  const ServedModel served;
  const std::string head = "POST /tokenize HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string piece(size_t{64} << 10, 'a');
  for (const char* begin : {"1;", "0\r\nX: ", "1;a=\""}) {
    Client client = served.connect();
    client.send(head + begin);
    size_t taken = 0;
    while (taken < (size_t{64} << 20) && client.send(piece)) taken += piece.size();
    EXPECT_LT(taken, size_t{64} << 20) << begin;
  }
  Client client = served.connect();
  client.send(head + "0\r\n");
  size_t fields = 0;
  while (fields < 1'000'000 && client.send("a: b\r\n")) ++fields;
  EXPECT_LT(fields, 1'000'000u);
}

TEST(BadInput, ValidRequestsOfOddForm) {
  const ServedModel served;
  Client client = served.connect();
  std::string all;
  for (int i = 0; i < 50; ++i) all += i % 2 == 0 ? get("/ping") : kShort;
  client.send(all);
  std::string text;
  for (int i = 0; i < 50; ++i) {
    const Reply reply = client.reply();
    EXPECT_EQ(reply.status, 200);
    if (i % 2 == 0) {
      EXPECT_EQ(reply.body, R"({"status":"ok"})");
      continue;
    }
    const std::string got = Json::parse(reply.body)["choices"][0]["text"];
    if (text.empty()) text = got;
    EXPECT_EQ(got, text) << "pipelined requests are answered in their order";
  }
  const std::string slow =
      post("/v1/completions", R"({"prompt": "Once", "max_tokens": 3, "seed": 1, "stream": true})");
  for (const char c : slow) client.send({&c, 1});
  EXPECT_THAT(client.reply().body, testing::EndsWith("data: [DONE]\n\n"));
  const Reply whole = served.ask(get("/v1/models")), head = served.ask(get("/v1/models", "", "HEAD"), true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.field("content-length"), whole.field("content-length"));
  client.send(get("/v1/models", "", "HEAD") + get("/ping"));
  EXPECT_EQ(client.reply(true).status, 200);
  EXPECT_EQ(client.reply().body, R"({"status":"ok"})") << "a HEAD has no body";
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 33\r\n\r\n");
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(R"({"prompt": "a", "max_tokens":  1})");
  EXPECT_EQ(client.reply().status, 200);
  client.send(get("/ping", "Connection: close\r\n"));
  EXPECT_THAT(client.read_all(), HasSubstr("Connection: close\r\n"));
}

TEST(BadInput, AnOldClientGetsAStreamUntilTheEndOfTheConnection) {
  const ServedModel served;
  Client client = served.connect();
  const std::string body = R"({"prompt": "Once", "max_tokens": 5, "ignore_eos": true, "stream": true})";
  client.send(
      fmt::format("POST /v1/completions HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n{}",
                  body.size(), body));
  const std::string all = client.read_all();
  EXPECT_THAT(all, HasSubstr("\r\nConnection: close\r\n"));
  EXPECT_THAT(all, testing::Not(HasSubstr("chunked")));
  EXPECT_THAT(all, HasSubstr("\r\n\r\ndata: {"));
  EXPECT_TRUE(all.ends_with("data: [DONE]\n\n"));
}

TEST(BadInput, AnUnreadBodyDoesNotHideTheReply) {
  ServerOptions options = quiet_server();
  options.http.max_body_bytes = 1000;
  const ServedModel served(options);
  Client client = served.connect();
  client.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" +
              std::string(200'000, ' '));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(client.reply().status, 413);
}

}  // namespace
}  // namespace reprise::server
