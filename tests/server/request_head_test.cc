// The head of a request: what is one thing to one reader and another to the next is refused.
#include "server/http/request_head.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>

namespace reprise::server {
namespace {

using namespace std::string_literals;

int status_of(const std::string& text) {
  const ParsedHead parsed = parse_head(text);
  EXPECT_NE(parsed.head.has_value(), parsed.error.status != 0) << text;
  return parsed.head ? 200 : parsed.error.status;
}
int status_with(const std::string& fields) {
  return status_of("POST / HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n");
}
std::string many_fields(int count) {  // with Host
  std::string text = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 1; i < count; ++i) text += fmt::format("f{}: {}\r\n", i, i);
  return text + "\r\n";
}

TEST(RequestHead, ReadsWhatClientsSend) {
  const ParsedHead parsed = parse_head(
      "POST /v1/x%20y?a=b?c HTTP/1.1\r\nHost: here:80\r\nContent-Length: 12\r\nEXPECT: 100-Continue\r\n"
      "X-Empty:\r\nX-Space: \t a b \t\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n");
  ASSERT_TRUE(parsed.head) << parsed.error.what;
  const RequestHead& head = *parsed.head;
  EXPECT_EQ(head.request.method, "POST");
  EXPECT_EQ(head.request.path, "/v1/x%20y");
  EXPECT_EQ(head.request.query, "a=b?c");
  EXPECT_EQ(head.body_bytes, 12u);
  EXPECT_TRUE(head.expects_continue && head.keep_alive && !head.http10 && !head.chunked);
  EXPECT_EQ(head.request.field("host"), "here:80");
  EXPECT_EQ(head.request.field("X-EMPTY"), "");
  EXPECT_EQ(head.request.field("x-space"), "a b");
  EXPECT_EQ(head.request.field("x-twice"), "1");
  EXPECT_EQ(head.request.field("x-none"), "");
  EXPECT_EQ(head.request.fields.size(), 7u);
}

TEST(RequestHead, RefusesALengthThatIsSaidTwiceOrOddly) {
  EXPECT_EQ(status_with("Content-Length: 5\r\n"), 200);
  EXPECT_EQ(status_with("Content-Length: 005\r\n"), 200);
  EXPECT_EQ(status_with("Transfer-Encoding: Chunked\r\n"), 200);
  for (const char* odd :
       {"+5", "-5", "5,5", "5, 5", " 0x5", "5 5", "", "5.0", "5e1", "12345678901234567890", "\x35\xb2"})
    EXPECT_EQ(status_with("Content-Length: "s + odd + "\r\n"), 400) << odd;
  EXPECT_EQ(status_with("Content-Length: 5\r\nContent-Length: 5\r\n"), 400);
  EXPECT_EQ(status_with("Content-Length: 5\r\ncontent-length: 6\r\n"), 400);
  EXPECT_EQ(status_with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(status_with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(status_with("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n"), 400);
  for (const char* odd : {"gzip, chunked", "chunked, chunked", "identity", "chunked;q=1", "\"chunked\"", ""})
    EXPECT_EQ(status_with("Transfer-Encoding: "s + odd + "\r\n"), 501) << odd;
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

TEST(RequestHead, RefusesNamesThatHideAField) {
  for (const char* hidden :
       {"Content-Length : 5", "Content-Length\t: 5", " Content-Length: 5", ": 5", "Content Length: 5",
        "Content-Length", "Content-Length\x80: 5", "X: 1\r\n Content-Length: 5", "X:\r\n\tfold"})
    EXPECT_EQ(status_with(hidden + "\r\n"s), 400) << hidden;
}

TEST(RequestHead, RefusesLinesThatEndOtherwise) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\rX: y\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n"s), 400);
  EXPECT_EQ(status_of("GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"s), 400);
  EXPECT_EQ(status_of("\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\n\r\nrest"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: x\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1"), 400);
  EXPECT_EQ(status_of(""), 400);
}

TEST(RequestHead, RefusesControlCharactersAndTakesOthers) {
  for (int byte = 0; byte < 256; ++byte) {
    const std::string value = "X: a"s + static_cast<char>(byte) + "b\r\n";
    EXPECT_EQ(status_with(value), byte == '\t' || (byte >= 0x20 && byte != 0x7f) ? 200 : 400) << byte;
  }
}

TEST(RequestHead, WantsOneHost) {
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), 400);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n"), 400);
}

TEST(RequestHead, HasLimits) {
  EXPECT_EQ(status_of(many_fields(100)), 200);
  EXPECT_EQ(status_of(many_fields(101)), 431);
  const auto with_target = [](size_t bytes) {
    return "GET /" + std::string(bytes - 1, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n";
  };
  EXPECT_EQ(status_of(with_target(8192)), 200);
  EXPECT_EQ(status_of(with_target(8193)), 414);
  std::string large = "GET / HTTP/1.1\r\nHost: x\r\nX: ";
  large += std::string((size_t{64} << 10) - large.size() - 4, 'a') + "\r\n\r\n";
  EXPECT_EQ(status_of(large), 200);
  large.insert(large.size() - 4, "a");
  EXPECT_EQ(status_of(large), 431);
}

TEST(RequestHead, RefusesOtherRequestLines) {
  for (const char* line : {"GET  / HTTP/1.1", " GET / HTTP/1.1", "GET / HTTP/1.1 ", "GET /a b HTTP/1.1",
                           "GET /\t HTTP/1.1", "GET HTTP/1.1", "GET /", "G(T / HTTP/1.1", "GET x HTTP/1.1",
                           "GET /\xc3\xa4 HTTP/1.1", "GET / http/1.1", "GET / FTP/1.1"})
    EXPECT_EQ(status_of(line + "\r\nHost: x\r\n\r\n"s), 400) << line;
  for (const char* version : {"HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/11", "HTTP/"})
    EXPECT_EQ(status_of("GET / "s + version + "\r\nHost: x\r\n\r\n"), 505) << version;
  EXPECT_EQ(status_with("Expect: magic\r\n"), 417);
}

// The four forms of RFC 9112, 3.2.
TEST(RequestHead, ReadsAnAddressAsItsPath) {
  const auto parse = [](const std::string& line, const std::string& fields = "Host: other\r\n") {
    const ParsedHead parsed = parse_head(line + "\r\n" + fields + "\r\n");
    EXPECT_TRUE(parsed.head) << line << ": " << parsed.error.what;
    return parsed.head ? parsed.head->request : HttpRequest{};
  };
  for (const auto& [target, path, query, host] : std::initializer_list<std::array<const char*, 4>>{
           {"http://here:80/v1/models?a=b?c", "/v1/models", "a=b?c", "here:80"},
           {"HTTP://here/", "/", "", "here"},
           {"https://[::1]:8000/health", "/health", "", "[::1]:8000"},
           {"http://here", "/", "", "here"},
           {"http://here?a=/b", "/", "a=/b", "here"},
           {"http://here//x/../y", "//x/../y", "", "here"},
           {"/http://here/", "/http://here/", "", "other"},
           {"//here/x", "//here/x", "", "other"},
           {"/%2e%2E/%00", "/%2e%2E/%00", "", "other"},
           {"/?", "/", "", "other"}}) {
    const HttpRequest request = parse(fmt::format("GET {} HTTP/1.1", target));
    EXPECT_EQ(request.path, path) << target;
    EXPECT_EQ(request.query, query) << target;
    EXPECT_EQ(request.field("host"), host) << "the address says where it goes";
  }
  EXPECT_EQ(parse("GET http://here/ HTTP/1.0", "").field("host"), "here");
  EXPECT_EQ(parse("OPTIONS * HTTP/1.1").path, "*");
  for (const char* line :
       {"GET * HTTP/1.1", "OPTIONS *x HTTP/1.1", "GET here:80 HTTP/1.1", "GET http:// HTTP/1.1",
        "GET http:///x HTTP/1.1", "GET http://:80/ HTTP/1.1", "GET http://user@here/ HTTP/1.1",
        "GET ftp://here/ HTTP/1.1", "GET http:/x HTTP/1.1", "GET http://he\\re/ HTTP/1.1",
        "GET /a#b HTTP/1.1", "GET ?a HTTP/1.1", "GET http://a\"b/ HTTP/1.1"})
    EXPECT_EQ(status_of(line + "\r\nHost: x\r\n\r\n"s), 400) << line;
  EXPECT_EQ(status_of("CONNECT here:443 HTTP/1.1\r\nHost: here:443\r\n\r\n"), 501);
  EXPECT_EQ(status_of("GET http://here/ HTTP/1.1\r\n\r\n"), 400) << "Host is needed all the same";
}

TEST(RequestHead, AnErrorSaysWhatWasReadBeforeIt) {
  const auto refused = [](const std::string& text) { return parse_head(text).refused; };
  EXPECT_EQ(refused("GET /v1/messages?a HTTP/3\r\nHost: x\r\n\r\n").path, "/v1/messages");
  EXPECT_EQ(refused("GET /v1/messages?" + std::string(9000, 'a') + " HTTP/1.1\r\n\r\n").path, "/v1/messages");
  const HttpRequest large =
      refused("GET /x HTTP/1.1\r\nOrigin: o\r\nX: " + std::string(size_t{70} << 10, 'a') + "\r\n\r\n");
  EXPECT_EQ(large.path, "/x");
  EXPECT_EQ(large.field("origin"), "o");
  EXPECT_EQ(refused("GET /x").path, "");
}

TEST(RequestHead, PercentSignsStandForBytes) {
  EXPECT_EQ(percent_decoded("a%2Fb%2f%C3%a4"), "a/b/\xc3\xa4");
  EXPECT_EQ(percent_decoded(""), "");
  for (const char* bad : {"%", "a%2", "%zz", "%2", "%%41", "%-1"})
    EXPECT_EQ(percent_decoded(bad), std::nullopt) << bad;
}

TEST(RequestHead, SaysWhetherTheConnectionGoesOn) {
  const auto goes_on = [](const std::string& version, const std::string& fields) {
    return parse_head("GET / HTTP/1." + version + "\r\nHost: x\r\n" + fields + "\r\n").head->keep_alive;
  };
  EXPECT_TRUE(goes_on("1", ""));
  EXPECT_FALSE(goes_on("0", ""));
  EXPECT_FALSE(goes_on("1", "Connection: Close\r\n"));
  EXPECT_FALSE(goes_on("1", "Connection: te, close\r\n"));
  EXPECT_FALSE(goes_on("1", "Connection: te\r\nConnection: close\r\n"));
  EXPECT_FALSE(goes_on("1", "Connection: close, keep-alive\r\n"));
  EXPECT_TRUE(goes_on("0", "Connection: keep-alive,\r\n"));
  EXPECT_TRUE(goes_on("1", "Connection: closed, ,\r\n"));
}

}  // namespace
}  // namespace reprise::server
