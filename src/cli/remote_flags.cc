#include "cli/remote_flags.h"

#include <cstdlib>

#include "api/field_text.h"
#include "api/load_fields.h"
#include "cli/command_line.h"
#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"

namespace reprise::cli {

void RemoteFlags::add(Command& command) {
  command
      .add(
          "--url", "URL",
          [this](const std::string&, const std::string& text) {
            client::parse_server_url(text);
            url = text;
          },
          "server to ask: http://HOST:PORT or unix:PATH")
      .group("Server");
  command.text("--api-key", api_key, "key to send; also REPRISE_API_KEY").group("Server");
  command.integer("--timeout", timeout_s, 1, 86'400, "seconds that the server may be silent (600)")
      .group("Server");
}

std::unique_ptr<client::HttpLoop> RemoteFlags::open() const {
  client::HttpLoopSettings settings;
  settings.silence = std::chrono::seconds(timeout_s);
  settings.api_key = api_key;
  if (const char* key = std::getenv("REPRISE_API_KEY"); api_key.empty() && key != nullptr)
    settings.api_key = key;
  return std::make_unique<client::HttpLoop>(client::parse_server_url(url), settings);
}

void require_one_model(Command& command, const LoadOptions& load, const RemoteFlags& remote,
                       bool name_with_url) {
  command.check([&command, &load, &remote, name_with_url] {
    if (remote.url.empty()) {
      if (load.model.empty()) throw Error("[--model] is missing; give one, or a server by --url");
      for (const char* name : {"--api-key", "--timeout"})
        if (command.given(name)) throw Error("[{}] needs --url", name);
      return;
    }
    for (const api::LoadField& field : api::load_fields())
      if (const std::string name = api::flag_name(field.name);
          (name != "--model" || !name_with_url) && command.given(name))
        throw Error("[{}] is of a model in this process, and --url asks a server; leave one out", name);
  });
}

RemoteModel remote_model(client::HttpLoop& loop, const std::string& name,
                         const std::function<bool()>& interrupted) {
  const client::HttpReply reply =
      client::ask_and_wait(loop, {.method = "GET", .path = "/v1/models"}, interrupted);
  if (reply.end.trouble != client::Trouble::none) throw Error("[--url] {}", reply.end.what);
  if (reply.status == 404 && !name.empty()) return {.name = name};  // not every server has a list
  if (reply.status != 200)
    throw Error("[--url] {} answers /v1/models with status {}: {}", loop.url().shown, reply.status,
                reply.error_message());
  const std::string what = "the reply of " + loop.url().shown + " to /v1/models";
  const Json json = parse_json(reply.body, what, kRequestJson);
  for (const JsonValue& item : JsonFields(json, what).at("data").items()) {
    const JsonFields fields = item.fields();
    const std::string id = fields.at("id").string();
    if (!name.empty() && id != name) continue;
    return {.name = id, .max_model_len = fields.integer("max_model_len", 0).value_or(0)};
  }
  if (name.empty()) throw Error("[--url] {} lists no model; give --model", loop.url().shown);
  return {.name = name};  // the server says what it thinks of it
}

}  // namespace reprise::cli
