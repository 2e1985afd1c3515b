// The flags of commands that ask a server.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "client/http_loop.h"
#include "reprise/reprise.h"

namespace reprise::cli {

class Command;

struct RemoteFlags {
  std::string url;      // empty: not given
  std::string api_key;  // empty: that of the variable REPRISE_API_KEY
  int64_t timeout_s = 600;

  // Adds --url, --api-key and --timeout; `this` must outlive `command`. What is no URL is wrong usage.
  void add(Command& command);
  // A client of the server. Throws Error.
  std::unique_ptr<client::HttpLoop> open() const;
};

// A model of this process or a server. Wrong usage: neither --model nor --url, or flags of the one that was not given.
// `name_with_url`: beside --url, --model is the name that is sent. All must outlive `command`.
void require_one_model(Command& command, const LoadOptions& load, const RemoteFlags& remote,
                       bool name_with_url);

struct RemoteModel {
  std::string name;
  int64_t max_model_len = 0;  // 0: the server doesn't say
};
// What the server has by that name; an empty one stands for the first of its list. Throws Error where the server can't be
// reached or has none.
RemoteModel remote_model(client::HttpLoop& loop, const std::string& name,
                         const std::function<bool()>& interrupted = nullptr);

}  // namespace reprise::cli
