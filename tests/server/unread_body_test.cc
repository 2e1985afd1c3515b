// What the head of a request decides is answered before its body is read, and what the connection refuses itself is said
// in the words of the path's API.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

// A head that declares a body, which is not sent.
std::string head_of(std::string_view method, std::string_view path, size_t body_bytes,
                    std::string_view fields = {}) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n{}\r\n", method, path, body_bytes,
                     fields);
}

struct Case {
  const char *method, *path, *fields;
  int status;
};

const Case kDecided[] = {
    {"POST", "/v1/completions", "", 401},
    {"POST", "/v1/messages", "x-api-key: wrong\r\n", 401},
    {"POST", "/nowhere", "", 401},
    {"POST", "/nowhere", "x-api-key: key\r\n", 404},
    {"PUT", "/v1/completions", "x-api-key: key\r\n", 405},
    {"POST", "/v1/completions", "x-api-key: key\r\nContent-Type: text/plain\r\n", 415},
    {"POST", "/v1/pause", "x-api-key: key\r\n", 403},
    {"POST", "/v1/pause", "", 401},
    {"POST", "/health", "", 405},
};

ServerOptions with_keys() {
  ServerOptions options = quiet_server();
  options.service.api_keys = {"key"};
  options.service.admin_api_keys = {"admin"};
  return options;
}

TEST(UnreadBody, WhatTheHeadDecidesIsSaidAtOnce) {
  const ServedModel served(with_keys());
  for (const Case& each : kDecided)
    for (const size_t bytes : {size_t{100}, size_t{30} << 20, size_t{1} << 40})
      for (const char* expect : {"", "Expect: 100-continue\r\n"}) {
        Client client = served.connect();
        client.send(head_of(each.method, each.path, bytes, std::string(each.fields) + expect));
        const Reply reply = client.reply();
        EXPECT_EQ(reply.status, each.status) << each.path << " " << bytes << expect << reply.body;
        EXPECT_EQ(reply.field("allow").empty(), each.status != 405);
        EXPECT_EQ(reply.field("connection"), bytes > 100 || *expect != '\0' ? "close" : "keep-alive");
      }
  // All else waits for the body, with 100 where that is asked for.
  Client client = served.connect();
  const std::string body = R"({"prompt": "a", "max_tokens": 1})";
  client.send(head_of("POST", "/v1/completions", body.size(), "x-api-key: key\r\nExpect: 100-continue\r\n"));
  EXPECT_EQ(client.read_until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.send(body);
  EXPECT_EQ(client.reply().status, 200);
}

TEST(UnreadBody, NoHigherThanAMebibyteIsTaken) {
  const ServedModel served(with_keys());
  const std::string piece(size_t{64} << 10, 'a');
  for (const char* length : {"Content-Length: 33000000\r\n", "Transfer-Encoding: chunked\r\n"}) {
    Client client = served.connect();
    client.send(fmt::format("POST /v1/completions HTTP/1.1\r\nHost: x\r\n{}\r\n1f78a40\r\n", length));
    size_t taken = 0;
    while (taken < (size_t{32} << 20) && client.send(piece)) taken += piece.size();
    // The kernel's buffers hold a few of them.
    EXPECT_LT(taken, size_t{16} << 20) << length;
  }
}

// A small body is on its way already: it is dropped, and what follows is the next request.
TEST(UnreadBody, IsNeverReadAsARequest) {
  const ServedModel served(with_keys());
  const std::string hidden = get("/ping");
  for (const Case& each : kDecided) {
    Client client = served.connect();
    client.send(head_of(each.method, each.path, hidden.size(), each.fields) + hidden + get("/health"));
    EXPECT_EQ(client.reply().status, each.status) << each.path;
    const Reply next = client.reply();
    EXPECT_EQ(next.status, 200);
    EXPECT_THAT(next.body, HasSubstr("\"ok\""));
    client.half_close();
    EXPECT_EQ(client.read_all(), "") << "the hidden one was answered";
  }
  // It comes later, byte by byte.
  Client slow = served.connect();
  slow.send(head_of("POST", "/nowhere", hidden.size()));
  EXPECT_EQ(slow.reply().status, 401);
  for (const char c : hidden) slow.send({&c, 1});
  slow.send(get("/health"));
  EXPECT_EQ(slow.reply().status, 200);
  slow.half_close();
  EXPECT_EQ(slow.read_all(), "");
  // Any other ends the connection.
  for (const std::string& request :
       {"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + hidden,
        head_of("POST", "/nowhere", 1 << 20) + std::string(1 << 20, ' ') + hidden,
        head_of("POST", "/nowhere", hidden.size(), "Expect: 100-continue\r\n") + hidden}) {
    Client client = served.connect();
    client.send(request);
    const std::string all = client.read_all();
    EXPECT_TRUE(all.starts_with("HTTP/1.1 401 ")) << all;
    EXPECT_EQ(all.find("HTTP/1.1", 1), std::string::npos) << all;
  }
}

TEST(UnreadBody, AServerThatTakesNoMoreSaysSoAtOnce) {
  ServerOptions options = quiet_server();
  options.service.max_concurrency = 1;
  ServedModel served(options);
  Client first = served.connect();
  first.send(endless(true));
  first.read_until("data: ");
  for (const char* path : {"/v1/completions", "/v1/chat/completions", "/v1/messages", "/v1/responses"})
    EXPECT_EQ(served.ask(head_of("POST", path, size_t{30} << 20)).status, 429) << path;
  EXPECT_EQ(served.ask(post("/tokenize", R"({"prompt": "x"})")).status, 200);
  first.close();
  EXPECT_TRUE(soon([&] { return served.at_rest(); }));
  served.server->drain();
  const Reply refused = served.ask(head_of("POST", "/v1/messages", size_t{30} << 20));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(Json::parse(refused.body).at("type"), "error");
}

// ---- what the connection refuses itself

struct Refused {
  const char* what;
  std::string request;  // of the path %, with the field $
  int status;
};

std::string for_path(std::string request, std::string_view path, std::string_view field) {
  request.replace(request.find('$'), 1, field);
  return request.replace(request.find('%'), 1, path);
}

std::vector<Refused> refused_heads() {
  const std::string begin = "POST % HTTP/1.1\r\n$Host: x\r\n";
  std::string fields;
  for (int i = 0; i < 100; ++i) fields += "x: y\r\n";
  return {
      {"declared too large", begin + "Content-Length: 1001\r\n\r\n", 413},
      {"chunks too large", begin + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n", 413},
      {"bad chunks", begin + "Transfer-Encoding: chunked\r\n\r\ng\r\n", 400},
      {"two lengths", begin + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
      {"many fields", begin + fields + "\r\n", 431},
      {"a large head", begin + "X: " + std::string(size_t{65} << 10, 'a') + "\r\n\r\n", 431},
      {"an unknown version", "POST % HTTP/2.0\r\n$Host: x\r\n\r\n", 505},
      {"an unknown coding", begin + "Transfer-Encoding: gzip\r\n\r\n", 501},
      {"an unknown expectation", begin + "Expect: magic\r\n\r\n", 417},
      {"half a body", begin + "Content-Length: 10\r\n\r\n{", 408},
      {"half a head", begin + "X: ", 408},
  };
}

TEST(ConnectionErrors, HaveTheFormOfThePathsApiAndCanBeReadByPages) {
  ServerOptions options = quiet_server();
  options.http.max_body_bytes = 1000;
  options.http.head_timeout = options.http.body_timeout = milliseconds(300);
  options.service.allowed_origins = {"http://page"};
  const ServedModel served(options);
  for (const auto& [what, request, status] : refused_heads())
    for (const char* path : {"/v1/messages", "/v1/messages/count_tokens?beta=true", "/v1/completions"})
      for (const char* origin : {"http://page", "http://evil"}) {
        const Reply reply = served.ask(for_path(request, path, fmt::format("Origin: {}\r\n", origin)));
        EXPECT_EQ(reply.status, status) << what << path << reply.body;
        EXPECT_EQ(reply.field("connection"), "close");
        const Json error = Json::parse(reply.body);
        EXPECT_EQ(error.contains("type"), std::string_view(path).starts_with("/v1/messages"))
            << what << reply.body;
        EXPECT_FALSE(error.at("error").at("message").get<std::string>().empty());
        EXPECT_EQ(reply.field("vary"), "Origin") << what;
        const bool seen = status != 505;  // nothing behind such a line is looked at
        EXPECT_EQ(reply.field("access-control-allow-origin"),
                  seen && origin == std::string_view("http://page") ? origin : "")
            << what;
      }
  const Reply long_target =
      served.ask("GET /v1/messages?" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(long_target.status, 414);
  EXPECT_EQ(Json::parse(long_target.body).at("type"), "error");
}

TEST(ConnectionErrors, AHeadHasNoBody) {
  ServerOptions options = quiet_server();
  options.http.max_body_bytes = 1000;
  const ServedModel served(options);
  for (const std::string& request : {head_of("HEAD", "/v1/models", 2000), get("/nowhere", "", "HEAD"),
                                     get("/v1/models", "Host: y\r\n", "HEAD")}) {
    Client client = served.connect();
    client.send(request);
    client.half_close();
    const std::string all = client.read_all();
    EXPECT_TRUE(all.starts_with("HTTP/1.1 4")) << all;
    EXPECT_TRUE(all.ends_with("\r\n\r\n")) << all;
  }
}

TEST(ConnectionErrors, AConnectionAboveTheLimitIsTold) {
  ServerOptions options = quiet_server();
  options.http.max_connections = 3;
  const ServedModel served(options);
  std::vector<Client> open;
  for (int i = 0; i < 3; ++i) {
    open.push_back(served.connect());
    open.back().send(get("/ping"));
    EXPECT_EQ(open.back().reply().status, 200);
  }
  Client above = served.connect();
  const Reply reply = above.reply();
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.body, HasSubstr("too many connections"));
  EXPECT_FALSE(reply.field("retry-after").empty());
  EXPECT_TRUE(above.ends_within(kSoon));
  above.close();
  open.pop_back();
  EXPECT_TRUE(soon([&] {
    Client next = served.connect();
    next.send(get("/ping"));
    return next.reply().status == 200;
  }));
}

}  // namespace
}  // namespace reprise::server
