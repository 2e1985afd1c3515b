#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/server_url.h"
#include "core/error.h"

namespace reprise::client {
namespace {

TEST(ServerUrl, TakesTheFormsThatPeopleWrite) {
  const ServerUrl plain = parse_server_url("http://127.0.0.1:8000");
  EXPECT_EQ(plain.host, "127.0.0.1");
  EXPECT_EQ(plain.port, 8000);
  EXPECT_EQ(plain.base, "");
  EXPECT_EQ(plain.host_field, "127.0.0.1:8000");
  EXPECT_EQ(parse_server_url("http://localhost").port, 80);
  for (const char* same : {"http://h:1/", "http://h:1/v1", "http://h:1/v1/", "http://h:1//"})
    EXPECT_EQ(parse_server_url(same).base, "") << same;
  EXPECT_EQ(parse_server_url("http://h:1/proxy/llm/v1/").base, "/proxy/llm");
  const ServerUrl v6 = parse_server_url("http://[::1]:81/v1");
  EXPECT_EQ(v6.host, "::1");
  EXPECT_EQ(v6.port, 81);
  EXPECT_EQ(v6.host_field, "[::1]:81");
  EXPECT_EQ(parse_server_url("http://[::1]").port, 80);
  EXPECT_EQ(parse_server_url("unix:/run/llm.sock").unix_path, "/run/llm.sock");
}

TEST(ServerUrl, SaysWhatIsWrong) {
  const auto error = [](const std::string& text) {
    try {
      parse_server_url(text);
    } catch (const Error& wrong) {
      return std::string(wrong.what());
    }
    return std::string("none");
  };
  EXPECT_THAT(error("https://api.example.com/v1"), testing::HasSubstr("no TLS; run a tunnel or a proxy"));
  for (const char* wrong :
       {"", "localhost:8000", "ftp://x", "http://", "http://:8000", "http://h:0", "http://h:65536",
        "http://h:8x", "http://h:", "http://[::1", "http://[::1]x", "http://::1:8000", "http://u:p@h",
        "http://h/a?b", "http://h/#x", "http://a b", "http://h\r\nX: y", "unix:"})
    EXPECT_THAT(error(wrong), testing::StartsWith("[--url]")) << wrong;
}

}  // namespace
}  // namespace reprise::client
