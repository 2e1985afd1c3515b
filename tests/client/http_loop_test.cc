// The client against servers that answer in every way there is.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>

#include "client/http_loop.h"
#include "core/error.h"
#include "tests/client/scripted_server.h"
#include "tests/server/served_model.h"

namespace reprise::client {
namespace {

using testing::HasSubstr;
using Peer = ScriptedServer::Peer;

HttpLoopSettings patient() {
  HttpLoopSettings settings;
  settings.silence = std::chrono::milliseconds(20'000);
  return settings;
}

HttpReply ask(const ScriptedServer& server, HttpCall call = {.path = "/x", .body = "{}"},
              const HttpLoopSettings& settings = patient()) {
  HttpLoop loop(parse_server_url(server.url()), settings);
  return ask_and_wait(loop, std::move(call));
}

TEST(HttpLoop, ReadsRepliesInAnyPieces) {
  const std::string whole =
      "HTTP/1.1 200 OK\r\nX-Name: value\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nTrailer: x\r\n\r\n";
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{40}, whole.size()}) {
    const ScriptedServer server([&](Peer& peer, int, int, const std::string&) {
      for (size_t at = 0; at < whole.size(); at += piece) {
        peer.send(whole.substr(at, piece));
        if (piece < 40) std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      return true;
    });
    const HttpReply reply = ask(server);
    EXPECT_EQ(reply.end.trouble, Trouble::none) << reply.end.what;
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, "hello, world");
    EXPECT_EQ(field_of(reply.fields, "x-name"), "value");
  }
}

TEST(HttpLoop, SendsWhatItIsTold) {
  std::string seen;
  const ScriptedServer server([&](Peer& peer, int, int, const std::string& text) {
    seen = text;
    peer.send(reply_with("{}"));
    return true;
  });
  HttpLoopSettings settings = patient();
  settings.api_key = "secret";
  HttpLoop loop(parse_server_url(server.url() + "/proxy/v1"), settings);
  EXPECT_EQ(ask_and_wait(loop, {.path = "/v1/x", .body = R"({"a":1})"}).status, 200);
  EXPECT_THAT(seen, testing::StartsWith("POST /proxy/v1/x HTTP/1.1\r\nHost: 127.0.0.1:"));
  EXPECT_THAT(seen, HasSubstr("\r\nAuthorization: Bearer secret\r\n"));
  EXPECT_THAT(seen, HasSubstr("\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"));
  settings.api_key = "a\r\nX: y";
  EXPECT_THROW(HttpLoop(parse_server_url(server.url()), settings), Error);
}

TEST(HttpLoop, ReadsToTheEndOfTheConnectionWhereNothingElseSaysSo) {
  const ScriptedServer server([](Peer& peer, int, int, const std::string&) {
    peer.send("HTTP/1.0 200 OK\r\n\r\nall ");
    Peer::pause(20);
    peer.send("of it");
    return false;
  });
  const HttpReply reply = ask(server);
  EXPECT_EQ(reply.end.trouble, Trouble::none) << reply.end.what;
  EXPECT_EQ(reply.body, "all of it");
}

TEST(HttpLoop, SkipsInterimReplies) {
  const ScriptedServer server([](Peer& peer, int, int, const std::string&) {
    peer.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
              reply_with("done"));
    return true;
  });
  const HttpReply reply = ask(server);
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "done");
}

TEST(HttpLoop, KeepsConnections) {
  const ScriptedServer server([](Peer& peer, int, int request, const std::string&) {
    peer.send(reply_with(std::to_string(request)));
    return true;
  });
  HttpLoop loop(parse_server_url(server.url()), patient());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask_and_wait(loop, {.path = "/"}).body, std::to_string(i));
  EXPECT_EQ(server.connections(), 1);
}

TEST(HttpLoop, AsksAgainWhereAKeptConnectionWasClosed) {
  const ScriptedServer server([](Peer& peer, int, int request, const std::string&) {
    if (request == 1) return false;  // as the second request arrives
    peer.send(reply_with("ok"));
    return true;
  });
  HttpLoop loop(parse_server_url(server.url()), patient());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask_and_wait(loop, {.path = "/"}).body, "ok");
  EXPECT_EQ(server.connections(), 3);
}

TEST(HttpLoop, DoesNotKeepWhatTheServerWillClose) {
  const ScriptedServer server([](Peer& peer, int, int, const std::string&) {
    peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    Peer::pause(50);
    return false;
  });
  HttpLoop loop(parse_server_url(server.url()), patient());
  for (int i = 0; i < 2; ++i) EXPECT_EQ(ask_and_wait(loop, {.path = "/"}).body, "ok");
  EXPECT_EQ(server.connections(), 2);
}

TEST(HttpLoop, NamesEachTrouble) {
  struct Case {
    Trouble trouble;
    const char* says;
    std::string bytes;
  };
  const Case cases[] = {
      {Trouble::closed, "closed the connection", ""},
      {Trouble::closed, "closed the connection", "HTTP/1.1 20"},
      {Trouble::closed, "closed the connection", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"},
      {Trouble::closed, "closed the connection",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"},
      {Trouble::malformed, "no HTTP reply", "SSH-2.0-OpenSSH_9.2\r\n"},
      {Trouble::malformed, "no HTTP reply", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"},
      {Trouble::malformed, "no HTTP reply", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"},
      {Trouble::malformed, "no HTTP reply", "HTTP/1.1 200 OK\r\nX: " + std::string(size_t{1} << 19, 'x')},
      {Trouble::malformed, "speaks TLS", std::string("\x15\x03\x01\x00\x02\x02\x16", 7)},
      {Trouble::too_large, "larger than 1000 bytes", reply_with(std::string(1001, 'x'))},
      {Trouble::too_large, "larger than 1000 bytes",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFF\r\n" + std::string(2000, 'x')},
      {Trouble::too_large, "larger than 1000 bytes", "HTTP/1.0 200 OK\r\n\r\n" + std::string(2000, 'x')},
  };
  for (const Case& one : cases) {
    const ScriptedServer server([&](Peer& peer, int, int, const std::string&) {
      peer.send(one.bytes);
      return false;
    });
    HttpLoopSettings settings = patient();
    settings.most_body_bytes = 1000;
    const HttpReply reply = ask(server, {.path = "/"}, settings);
    EXPECT_EQ(name_of(reply.end.trouble), name_of(one.trouble)) << one.bytes.substr(0, 80);
    EXPECT_THAT(reply.end.what, HasSubstr(one.says));
    EXPECT_THAT(reply.end.what, HasSubstr(server.url()));
  }
}

TEST(HttpLoop, SaysThatNobodyListens) {
  uint16_t port = 0;
  {
    const ScriptedServer server([](Peer&, int, int, const std::string&) { return false; });
    port = server.port();
  }
  HttpLoop loop(parse_server_url("http://127.0.0.1:" + std::to_string(port)));
  const HttpReply refused = ask_and_wait(loop, {.path = "/"});
  EXPECT_EQ(refused.end.trouble, Trouble::connect);
  EXPECT_THAT(refused.end.what, HasSubstr("is the server running?"));
  HttpLoop nowhere(parse_server_url("http://no-such-host.invalid:80"));
  EXPECT_EQ(ask_and_wait(nowhere, {.path = "/"}).end.trouble, Trouble::resolve);
  HttpLoop socketless(parse_server_url("unix:/nonexistent/socket"));
  EXPECT_EQ(ask_and_wait(socketless, {.path = "/"}).end.trouble, Trouble::connect);
}

TEST(HttpLoop, EndsAfterSilence) {
  for (const bool begun : {false, true}) {
    const ScriptedServer server([&](Peer& peer, int, int, const std::string&) {
      if (begun) peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
      return true;
    });
    HttpLoopSettings settings;
    settings.silence = std::chrono::milliseconds(200);
    const auto start = std::chrono::steady_clock::now();
    const HttpReply reply = ask(server, {.path = "/"}, settings);
    EXPECT_EQ(reply.end.trouble, Trouble::timeout);
    EXPECT_THAT(reply.end.what, HasSubstr("said nothing for 0.2 s"));
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  }
}

TEST(HttpLoop, ReadsARefusalThatComesBeforeTheBodyIsSent) {
  const ScriptedServer server([](Peer& peer, int, int, const std::string&) {
    peer.send(reply_with("{\"error\": {\"message\": \"too big\"}}", 413));
    return false;
  });
  HttpLoop loop(parse_server_url(server.url()), patient());
  const HttpReply reply = ask_and_wait(loop, {.path = "/", .body = std::string(1000, 'x')});
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.error_message(), "too big");
}

TEST(HttpLoop, CancelsInAnyState) {
  const ScriptedServer server([](Peer& peer, int, int, const std::string&) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc");
    return true;
  });
  HttpLoop loop(parse_server_url(server.url()), patient());
  int ends = 0;
  const auto end = [&](const HttpEnd& what) {
    EXPECT_EQ(what.trouble, Trouble::cancelled);
    ++ends;
  };
  loop.cancel(loop.ask({.path = "/"}, {.end = end}));  // before it began
  loop.cancel(12345);
  HttpLoop::CallId second = 0;
  second = loop.ask({.path = "/"}, {.body = [&](std::string_view) { loop.cancel(second); }, .end = end});
  const HttpLoop::CallId third = loop.ask({.path = "/"}, {.end = end});
  loop.at(HttpLoop::Clock::now() + std::chrono::milliseconds(50), [&] { loop.cancel(third); });
  loop.run();
  EXPECT_EQ(ends, 3);
}

TEST(HttpLoop, IsInterrupted) {
  const ScriptedServer server([](Peer&, int, int, const std::string&) { return true; });
  HttpLoop loop(parse_server_url(server.url()), patient());
  const auto start = std::chrono::steady_clock::now();
  const HttpReply reply = ask_and_wait(loop, {.path = "/"}, [&] {
    return std::chrono::steady_clock::now() - start > std::chrono::milliseconds(100);
  });
  EXPECT_EQ(reply.end.trouble, Trouble::cancelled);
}

TEST(HttpLoop, LetsExceptionsOfEventsOut) {
  const ScriptedServer server([](Peer& peer, int, int, const std::string&) {
    peer.send(reply_with("x"));
    return true;
  });
  HttpLoop loop(parse_server_url(server.url()), patient());
  loop.ask({.path = "/"}, {.body = [](std::string_view) { throw std::runtime_error("mine"); }});
  EXPECT_THROW(loop.run(), std::runtime_error);
}

TEST(HttpLoop, HandlesManyAtOnce) {
  const ScriptedServer server([](Peer& peer, int, int, const std::string& text) {
    peer.send(reply_with(text.substr(5, text.find(" HTTP") - 5)));
    return true;
  });
  HttpLoop loop(parse_server_url(server.url()), patient());
  int right = 0;
  for (int i = 0; i < 64; ++i) {
    const auto body = std::make_shared<std::string>();
    loop.ask({.path = "/" + std::to_string(i)},
             {.body = [body](std::string_view piece) { body->append(piece); },
              .end = [&, body, i](const HttpEnd&) { right += *body == "/" + std::to_string(i) ? 1 : 0; }});
  }
  loop.run();
  EXPECT_EQ(right, 64);
}

TEST(HttpLoop, SpeaksToAUnixSocket) {
  const std::string path = testing::TempDir() + "reprise_client_" + std::to_string(getpid());
  server::ServerOptions options = server::quiet_server();
  options.http.uds = path;
  const server::ServedModel served(options);
  HttpLoop loop(parse_server_url("unix:" + path), patient());
  EXPECT_EQ(ask_and_wait(loop, {.method = "GET", .path = "/health"}).status, 200);
}

TEST(HttpReply, FindsTheMessageOfAnError) {
  EXPECT_EQ(error_message_of(R"({"error": {"message": "m"}})"), "m");
  EXPECT_EQ(error_message_of(R"({"error": "m"})"), "m");
  EXPECT_EQ(error_message_of(R"({"message": "m"})"), "m");
  EXPECT_EQ(error_message_of(R"({"detail": "m"})"), "m");
  EXPECT_EQ(error_message_of("<html>\nno"), "<html> no");
  EXPECT_EQ(error_message_of(""), "the reply is empty");
}

}  // namespace
}  // namespace reprise::client
