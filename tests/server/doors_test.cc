// Who is let in: keys, origins, where the server listens, and what it says before that.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "core/json.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using testing::HasSubstr;

TEST(Keys, AreNeededEverywhereButWhereOrchestratorsLook) {
  ServerOptions options = quiet_server();
  options.service.api_keys = {"other", "right-key"};
  const ServedModel served(options);
  const std::string body = R"({"prompt": "x", "max_tokens": 1, "tokens": [1], "messages": []})";
  for (const char* path :
       {"/v1/chat/completions", "/v1/completions", "/tokenize", "/detokenize", "/v1/models",
        "/v1/models/tiny", "/load", "/metrics", "/v1/graph", "/openapi.json", "/nowhere", "/v1/models/"})
    for (const char* key :
         {"", "Authorization: Bearer right-ke\r\n", "Authorization: Bearer right-key1\r\n",
          "Authorization: Bearer \r\n", "Authorization: right-key\r\n", "Authorization: Basic right-key\r\n",
          "x-api-key: right\r\n", "x-api-key:\r\n", "Authorization: Bearer wrong\r\nx-api-key: right-key\r\n",
          "Authorization: Bearer right-key,other\r\n"})
      for (const std::string& request :
           {post(path, body, key), get(path, key), get(path, key, "HEAD"), get(path, key, "OPTIONS")}) {
        const Reply reply = served.ask(request, request.starts_with("HEAD"));
        EXPECT_EQ(reply.status, 401) << request;
        EXPECT_EQ(reply.field("www-authenticate"), "Bearer");
        EXPECT_THAT(reply.body, testing::Not(HasSubstr("right-key")));
      }
  for (const char* key : {"Authorization: Bearer right-key\r\n", "authorization: bearer other\r\n",
                          "X-API-Key: right-key\r\n"}) {
    EXPECT_EQ(served.ask(get("/v1/models", key)).status, 200) << key;
    EXPECT_EQ(served.ask(get("/nowhere", key)).status, 404) << key;
    EXPECT_EQ(served.ask(post("/v1/completions", R"({"prompt": "x", "max_tokens": 1})", key)).status, 200)
        << key;
  }
  EXPECT_EQ(served.ask(get("/health")).status, 200);
  EXPECT_EQ(served.ask(get("/ping")).status, 200);
  EXPECT_EQ(served.ask(get("/v1/models", "Origin: http://a\r\n", "OPTIONS")).status, 204)
      << "a preflight has no key";
}

TEST(Keys, AnEmptyOneIsRefused) {
  ServerOptions options = quiet_server();
  options.service.api_keys = {"a", ""};
  EXPECT_THROW(ServedModel{options}, Error);
}

TEST(Origins, NoneIsAllowedUnlessNamed) {
  const ServedModel served;
  for (const char* method : {"GET", "OPTIONS"}) {
    const Reply reply = served.ask(get("/health", "Origin: http://page\r\n", method));
    EXPECT_FALSE(reply.fields.contains("access-control-allow-origin"));
  }
}

TEST(Origins, NamedOnesReadErrorsToo) {
  ServerOptions options = quiet_server();
  options.service.allowed_origins = {"http://page", "http://other"};
  options.service.api_keys = {"key"};
  const ServedModel served(options);
  const std::string key = "x-api-key: key\r\n", origin = "Origin: http://page\r\n";
  const std::pair<std::string, int> requests[] = {
      {get("/health", origin), 200},
      {get("/nowhere", origin + key), 404},
      {get("/v1/models", origin), 401},
      {post("/health", "", origin), 405},
      {post("/v1/completions", "{", origin + key), 400},
      {post("/v1/completions", R"({"prompt": "x", "max_tokens": 1})", origin + key), 200},
      {post("/v1/completions", R"({"prompt": "x", "max_tokens": 1, "stream": true})", origin + key), 200},
      {post("/tokenize", R"({"prompt": "x"})", origin + key), 200},
  };
  for (const auto& [request, status] : requests) {
    const Reply reply = served.ask(request);
    EXPECT_EQ(reply.status, status) << request;
    EXPECT_EQ(reply.field("access-control-allow-origin"), "http://page") << request;
    EXPECT_EQ(reply.field("vary"), "Origin") << request;
  }
  for (const char* other :
       {"", "Origin: http://evil\r\n", "Origin: http://page.evil\r\n", "Origin: null\r\n"}) {
    const Reply reply = served.ask(get("/health", other));
    EXPECT_FALSE(reply.fields.contains("access-control-allow-origin")) << other;
    EXPECT_EQ(reply.field("vary"), "Origin") << "a cache must not give one origin's reply to another";
  }
  Client client = served.connect();
  client.send(get("/v1/completions",
                  origin + "Access-Control-Request-Headers: authorization,x-stainless-os\r\n", "OPTIONS"));
  const Reply preflight = client.reply();
  EXPECT_EQ(preflight.status, 204);
  EXPECT_EQ(preflight.field("access-control-allow-headers"), "authorization,x-stainless-os");
  EXPECT_FALSE(preflight.fields.contains("content-length")) << "RFC 9110, 8.6";
  client.send(get("/ping"));
  EXPECT_EQ(client.reply().status, 200) << "the connection goes on";
}

TEST(Paths, AreTakenAsTheyAreSent) {
  ServerOptions options = quiet_server();
  options.service.model_names = {"org/tiny"};
  const ServedModel served(options);
  for (const auto& [target, status] :
       std::initializer_list<std::pair<const char*, int>>{{"http://anywhere/health", 200},
                                                          {"http://anywhere:1/v1/models?x=/nowhere", 200},
                                                          {"http://anywhere", 200},
                                                          {"/health?a=%zz&b", 200},
                                                          {"/v1/models/org/tiny", 200},
                                                          {"/v1/models/org%2ftiny", 200},
                                                          {"/v1/models/org%2Ftiny%", 404},
                                                          {"/v1/models/org%252Ftiny", 404},
                                                          {"/v1/models/%00%ff%0d%0a", 404},
                                                          {"//health", 404},
                                                          {"/health/", 404},
                                                          {"/./health", 404},
                                                          {"/v1/../health", 404},
                                                          {"/%68ealth", 404},
                                                          {"/page/../index.html", 404},
                                                          {"/page/%2e%2e/%2e%2e/etc/passwd", 404},
                                                          {"/page/../../../../etc/passwd", 404},
                                                          {"http://user:pass@anywhere/health", 400},
                                                          {"anywhere:80", 400},
                                                          {"*", 400}}) {
    const Reply reply = served.ask(get(target));
    EXPECT_EQ(reply.status, status) << target << reply.body;
    if (status != 200) {
      EXPECT_FALSE(Json::parse(reply.body).at("error").at("message").get<std::string>().empty());
    }
  }
  const Reply all = served.ask(get("*", "", "OPTIONS"));
  EXPECT_EQ(all.status, 204);
  EXPECT_THAT(all.field("allow"), HasSubstr("POST"));
  EXPECT_EQ(served.ask(get("anywhere:443", "", "CONNECT")).status, 501);
}

// A page's own origin is that of the address it asks, whatever Host says.
TEST(Paths, AnAddressIsTheHostThatOriginsAreComparedWith) {
  const ServedModel served;
  const std::string own = "Origin: http://here\r\n";
  EXPECT_EQ(served.ask(get("http://here/v1/is_paused", own)).status, 200);
  EXPECT_EQ(served.ask(get("http://there/v1/is_paused", own)).status, 403);
}

TEST(Listening, OnAUnixSocket) {
  const std::string path =
      fmt::format("{}/reprise-{}.sock", std::filesystem::temp_directory_path().string(), getpid());
  ServerOptions options = quiet_server();
  options.http.uds = path;
  {
    ServedModel served(options);
    EXPECT_EQ(served.server->address(), "unix:" + path);
    Client client(path);
    client.send(kShort);
    EXPECT_EQ(client.reply().status, 200);
    EXPECT_THROW(Server(options, served.model), Error) << "it is served already";
    Client leaving(path);
    leaving.send(endless(true));
    leaving.read_until("data: ");
    leaving.close();
    EXPECT_TRUE(soon([&] { return served.at_rest(); }));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  std::ofstream(path) << "a file of somebody";
  EXPECT_THROW(ServedModel{options}, Error);
  EXPECT_TRUE(std::filesystem::exists(path));
  std::filesystem::remove(path);
  options.http.uds = "/nowhere/x.sock";
  EXPECT_THROW(ServedModel{options}, Error);
}

TEST(Listening, SaysWhyItCanNot) {
  const ServedModel served;
  const auto why = [](const HttpSettings& settings) -> std::string {
    try {
      HttpServer(settings, {.answer = [](const auto&) {}});
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(
      why({.host = "127.0.0.1", .port = served.server->port()}),
      testing::AllOf(HasSubstr("[--port]"), HasSubstr(fmt::format("127.0.0.1:{}", served.server->port())),
                     HasSubstr("in use"), HasSubstr("another --port")));
  EXPECT_THAT(why({.host = "no such host", .port = 0}), HasSubstr("[--host] no such host can't be resolved"));
  EXPECT_THAT(why({.host = "192.0.2.1", .port = 0}), HasSubstr("192.0.2.1"));
}

}  // namespace
}  // namespace reprise::server
