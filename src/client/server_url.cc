#include "client/server_url.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/error.h"

namespace reprise::client {
namespace {

constexpr std::string_view kExpected =
    "expected http://HOST:PORT, such as http://127.0.0.1:8000, or unix:PATH";

bool is_plain(char c) {
  return c > ' ' && c < 127 && c != '"' && c != '\\' && c != '<' && c != '>';
}

uint16_t port_of(const std::string& url, std::string_view text) {
  uint16_t port = 0;
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (status != std::errc() || end != text.data() + text.size() || port == 0)
    throw Error("[--url] {} has the port '{}', expected 1 to 65535", url, text);
  return port;
}

// "host", "host:port", "[v6]:port".
void take_authority(const std::string& url, std::string_view authority, ServerUrl& to) {
  if (authority.find('@') != std::string_view::npos)
    throw Error("[--url] {} has a user name in it; give --api-key instead", url);
  to.host_field = authority;
  size_t colon = authority.rfind(':');
  if (authority.starts_with('[')) {
    const size_t end = authority.find(']');
    if (end == std::string_view::npos) throw Error("[--url] {} has no ']' behind its address", url);
    to.host = authority.substr(1, end - 1);
    colon = end + 1 < authority.size() ? end + 1 : std::string_view::npos;
    if (colon != std::string_view::npos && authority[colon] != ':')
      throw Error("[--url] is {}, {}", url, kExpected);
  } else {
    to.host = authority.substr(0, std::min(colon, authority.size()));
    if (to.host.find(':') != std::string::npos)
      throw Error("[--url] {}: an IPv6 address stands in brackets, http://[::1]:8000", url);
  }
  if (colon != std::string_view::npos) to.port = port_of(url, authority.substr(colon + 1));
  if (to.host.empty()) throw Error("[--url] {} names no host; {}", url, kExpected);
}

}  // namespace

ServerUrl parse_server_url(const std::string& text) {
  ServerUrl url;
  if (text.starts_with("unix:")) {
    url.unix_path = text.substr(5);
    if (url.unix_path.empty() || url.unix_path.size() > 107)
      throw Error("[--url] is '{}', expected unix:PATH with a path of 1 to 107 bytes", text.substr(0, 200));
    url.shown = text;
    url.host_field = "localhost";
    return url;
  }
  const std::string shown = text.substr(0, 200);
  if (text.starts_with("https://"))
    throw Error(
        "[--url] is {}: this program speaks http:// alone, no TLS; run a tunnel or a proxy on this machine that adds "
        "TLS (stunnel, socat, ssh -L, nginx), and give its http:// address",
        shown);
  if (!text.starts_with("http://") || text.size() > 2048 || !std::ranges::all_of(text, is_plain))
    throw Error("[--url] is '{}', {}", shown, kExpected);
  std::string_view rest = std::string_view(text).substr(7);
  if (rest.find_first_of("?#") != std::string_view::npos)
    throw Error("[--url] {} has a query or a fragment; {}", shown, kExpected);
  const size_t slash = std::min(rest.find('/'), rest.size());
  take_authority(shown, rest.substr(0, slash), url);
  rest.remove_prefix(slash);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.ends_with("/v1")) rest.remove_suffix(3);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  url.base = rest;
  url.shown = "http://" + url.host_field + url.base;
  return url;
}

}  // namespace reprise::client
