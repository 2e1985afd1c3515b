// Where a server is, from the text that a user gave.
#pragma once

#include <cstdint>
#include <string>

namespace reprise::client {

struct ServerUrl {
  std::string host;        // a name or an address; empty: a unix socket
  uint16_t port = 80;      // of a host
  std::string unix_path;   // of a unix socket
  std::string base;        // what paths begin with, "" or "/proxy/llm"; never ends with a slash
  std::string shown;       // as errors call the server, "http://127.0.0.1:8000"
  std::string host_field;  // for the field Host
};

// "http://HOST[:PORT][/PATH]" or "unix:PATH". A path that ends with /v1, as OpenAI's clients have it, means the same
// without. Throws Error "[--url] ..." on anything else, on https too, saying what helps.
ServerUrl parse_server_url(const std::string& text);

}  // namespace reprise::client
