// `reprise serve`: a model behind HTTP.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>

#include "api/serving_model.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/config_file.h"
#include "cli/interrupt.h"
#include "cli/model_flags.h"
#include "cli/say.h"
#include "cli/systemd.h"
#include "core/error.h"
#include "core/json.h"
#include "server/server.h"

namespace reprise::cli {
namespace {

struct ServeFlags {
  LoadOptions load;
  server::ServerOptions server;
  std::string api_key_file, request_log, config;
  std::string log = "text";
  int64_t grace_s = 0, stall_s = 60, max_waiting_s = -1;
  size_t max_body_bytes = size_t{32} << 20;
};

void add_keys_of_file(const std::string& path, std::vector<std::string>& keys) {
  const std::string text = read_file(path, size_t{1} << 20);
  const size_t before = keys.size();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) keys.push_back(line);
    at = end + 1;
  }
  if (keys.size() == before)
    throw Error("[--api-key-file] {} holds no key, so everybody could use the server; write one in each line",
                path);
}

// Of a service that systemd starts with its sockets open.
void take_sockets(const Command& command, server::ServerOptions& options) {
  InheritedSockets sockets = take_inherited_sockets();
  for (const char* flag : {"--host", "--port", "--uds"})
    if (!sockets.http.empty() && command.given(flag))
      throw Error(
          "[{}] and the sockets that systemd gave (LISTEN_FDS) exclude each other; leave the flag out", flag);
  if (!sockets.metrics.empty() && command.given("--metrics-port"))
    throw Error(
        "[--metrics-port] and a socket named metrics that systemd gave exclude each other; leave the flag out");
  options.http.sockets = std::move(sockets.http);
  options.metrics_sockets = std::move(sockets.metrics);
}

// Pieces of prompts for which nobody who reads a stream waits long, and which cost the throughput of a CPU little.
constexpr int kTargetItlMs = 100;

bool only_this_machine(const server::HttpSettings& http) {
  return !http.sockets.empty() || !http.uds.empty() || http.host == "localhost" ||
         http.host.starts_with("127.") || http.host == "::1";
}

std::string name_of_model(const std::string& path) {
  std::string name = path;
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  name = name.substr(name.rfind('/') + 1);
  return name.ends_with(".gguf") ? name.substr(0, name.size() - 5) : name;
}

int run_serve(ServeFlags flags) {
  server::ServiceSettings& service = flags.server.service;
  if (!flags.api_key_file.empty()) add_keys_of_file(flags.api_key_file, service.api_keys);
  if (const char* key = std::getenv("REPRISE_API_KEY"); key != nullptr && *key != '\0')
    service.api_keys.emplace_back(key);
  if (const char* key = std::getenv("REPRISE_ADMIN_API_KEY"); key != nullptr && *key != '\0')
    service.admin_api_keys.emplace_back(key);
  if (service.model_names.empty()) service.model_names.push_back(name_of_model(flags.load.model));
  service.log_requests = flags.log != "off";
  service.log_json = flags.log == "json";
  if (!flags.request_log.empty())
    service.request_log = std::make_shared<server::RequestLog>(flags.request_log);
  flags.server.grace = std::chrono::seconds(flags.grace_s);
  flags.server.http.stall_timeout = std::chrono::seconds(flags.stall_s);
  flags.server.http.max_body_bytes = flags.max_body_bytes;
  if (service.api_keys.empty() && !only_this_machine(flags.server.http))
    say_warning(
        "[--host] other machines can reach this server, and it asks for no key; give --api-key, or --host 127.0.0.1");
  // Requests without a seed differ from one start to the next.
  std::random_device device;
  flags.load.seed = (uint64_t{device()} << 32) | device();
  const InterruptGuard guard({SIGINT, SIGTERM});
  api::ServingOptions serving;
  if (flags.max_waiting_s >= 0) serving.max_waiting = std::chrono::seconds(flags.max_waiting_s);
  api::ServingModel model(flags.load, serving);
  const ModelInfo& info = model.info();
  for (const std::string& warning : info.warnings) say_warning(warning);
  server::Server server(flags.server, model);
  std::fprintf(stderr, "%s: %s, %s, %s, %d threads, %lld KV blocks, ready in %.2f s\n",
               service.model_names[0].c_str(), info.architecture.c_str(), info.dtype.c_str(),
               info.isa.c_str(), info.threads, static_cast<long long>(info.kv_blocks), info.load_s);
  if (const std::string metrics = server.metrics_address(); !metrics.empty())
    std::fprintf(stderr, "metrics: %s\n", metrics.c_str());
  std::fprintf(stderr, "ready: %s\n", server.address().c_str());
  if (!notify_service_manager("READY=1\nSTATUS=serving at " + server.address()))
    say_warning("the service manager of NOTIFY_SOCKET could not be told that the server is ready");
  while (InterruptGuard::caught() == 0 && !model.health().gave_up)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  notify_service_manager("STOPPING=1");
  server.begin_drain();
  std::fprintf(stderr, "shutting down: %lld requests are open\n",
               static_cast<long long>(server.open_requests()));
  server.drain();
  if (model.health().gave_up)
    throw Error(
        "[engine] it has stopped for good: too many steps in a row met an internal error; start it again, and "
        "report the errors that requests got");
  return 0;
}

}  // namespace

void add_serve(Command& program) {
  Command& command = program.add_command("serve", "Serve a model over HTTP, by OpenAI's API");
  command.note(
      "docs/server.md lists the endpoints. SIGTERM ends it: open requests finish, new ones get 503.");
  auto flags = std::make_shared<ServeFlags>();
  add_config_flag(command, flags->config);
  add_model_flags(command, flags->load, ModelFlag::optional);
  command.check([&command, flags = flags.get()] {
    if (flags->load.model.empty())
      throw Error("[--model] is missing; give one, here or as `model` in --config");
    take_sockets(command, flags->server);
    if (!command.given("--target-itl-ms") && flags->load.enable_chunked_prefill)
      flags->load.target_itl_ms = kTargetItlMs;
  });
  server::HttpSettings& http = flags->server.http;
  server::ServiceSettings& service = flags->server.service;
  const auto add = [](Flag& flag) { flag.group("Server"); };
  add(command.text("--host", http.host, "address to listen on; 127.0.0.1: this machine alone (0.0.0.0)"));
  add(command.integer("--port", http.port, 0, 65535, "port; 0: any free one (8000)"));
  add(command.integer("--metrics-port", flags->server.metrics_port, 0, 65535,
                      "a port that has /metrics, /health, /ping and /load alone; 0: any free one"));
  add(command.text("--uds", http.uds, "listen on a unix socket at this path instead", "PATH"));
  add(command.texts("--served-model-name", service.model_names,
                    "name in requests and replies; may be repeated"));
  add(command.texts("--api-key", service.api_keys,
                    "key that requests must carry; may be repeated; also REPRISE_API_KEY"));
  add(command.text("--api-key-file", flags->api_key_file, "file with a key in each line", "FILE"));
  add(command.texts(
      "--admin-api-key", service.admin_api_keys,
      "key for pause, sleep and abort_requests, which the others then don't open; may be repeated; "
      "also REPRISE_ADMIN_API_KEY"));
  add(command.texts("--allowed-origins", service.allowed_origins,
                    "origin whose pages may call this server; may be repeated"));
  add(command.integer("--max-concurrency", service.max_concurrency, 1, 1'000'000,
                      "requests that may be open at once (2048)"));
  add(command.integer("--max-waiting-time", flags->max_waiting_s, -1, 86'400,
                      "seconds that a request may wait for a place in the engine; -1: for ever (-1)"));
  add(command.integer("--timeout-graceful-shutdown", flags->grace_s, 0, 86'400,
                      "seconds that open requests get when the server ends; 0: until they are done (0)"));
  add(command.size("--max-body-bytes", flags->max_body_bytes, "largest body of a request (32MiB)"));
  add(command.integer("--sse-keep-alive-interval", service.keep_alive_interval, 0, 3600,
                      "seconds after which an idle stream gets a comment; 0: never (15)"));
  add(command.integer("--client-stall-timeout", flags->stall_s, 1, 86'400,
                      "seconds after which a client that takes nothing of its reply is cut off (60)"));
  add(command.text("--request-log", flags->request_log,
                   "append each request and a digest of its reply to this file, for reprise replay", "FILE"));
  add(command.choice("--log", flags->log, {"text", "json", "off"},
                     "a line on standard error for each request"));
  command.action([flags] { return run_serve(*flags); });
}

}  // namespace reprise::cli
