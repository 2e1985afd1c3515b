// `reprise replay`: runs the requests of a --request-log again and names each whose reply is another one.
#include <fmt/ranges.h>

#include <csignal>
#include <memory>
#include <optional>
#include <string>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_flags.h"
#include "cli/remote_flags.h"
#include "cli/say.h"
#include "cli/served_here.h"
#include "client/replay/replay.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct ReplayFlags {
  LoadOptions load;
  RemoteFlags remote;
  client::ReplaySettings settings;
  std::string file;
  bool json = false;
};

const char* word_for(client::ReplayNews::Kind kind) {
  switch (kind) {
    case client::ReplayNews::Kind::differs:
      return "differs";
    case client::ReplayNews::Kind::failed:
      return "failed";
    case client::ReplayNews::Kind::broken:
      return "broken";
  }
  return "";
}

void warn_of_fingerprints(const client::ReplayReport& report) {
  if (report.logged_fingerprints == report.found_fingerprints || report.found_fingerprints.empty()) return;
  say_warning(fmt::format("system_fingerprint is {} in the log and {} here: bits may differ",
                          fmt::join(report.logged_fingerprints, ", "),
                          fmt::join(report.found_fingerprints, ", ")));
}

void print_report(const client::ReplayReport& report, const Json& news, bool json) {
  TextOutput& out = TextOutput::standard();
  if (json) {
    out.print("{}\n", to_json_text({{"same", report.same},
                                    {"differing", report.differing},
                                    {"failed", report.failed},
                                    {"aborted", report.aborted},
                                    {"refused", report.refused},
                                    {"broken", report.broken},
                                    {"logged_fingerprints", report.logged_fingerprints},
                                    {"fingerprints", report.found_fingerprints},
                                    {"lines", news}}));
    return;
  }
  out.print("{} the same, {} differ, {} failed; not run: {} aborted, {} refused, {} broken\n", report.same,
            report.differing, report.failed, report.aborted, report.refused, report.broken);
}

int run_replay(const ReplayFlags& flags) {
  const client::LogFile file(flags.file);
  const InterruptGuard guard({SIGINT, SIGTERM});
  std::optional<ServedHere> here;
  std::unique_ptr<client::HttpLoop> loop;
  client::ReplaySettings settings = flags.settings;
  if (flags.remote.url.empty()) {
    here.emplace(flags.load);
    settings.keep_model = false;
    loop = std::make_unique<client::HttpLoop>(client::parse_server_url(here->url()));
  } else {
    loop = flags.remote.open();
  }
  Json list = Json::array();
  const client::ReplayReport report = client::run_replay(
      file, *loop, settings, [] { return InterruptGuard::caught() != 0; },
      [&](const client::ReplayNews& news) {
        if (flags.json) {
          list.push_back(
              {{"line", news.number}, {"id", news.id}, {"kind", word_for(news.kind)}, {"what", news.what}});
          return;
        }
        TextOutput& out = TextOutput::standard();
        if (news.kind == client::ReplayNews::Kind::broken)
          out.print("{}\n", news.what);
        else
          out.print("line {}, {}: {}{}\n", news.number, news.id.empty() ? "-" : news.id,
                    news.kind == client::ReplayNews::Kind::failed ? "failed: " : "", news.what);
        out.flush();
      });
  print_report(report, list, flags.json);
  warn_of_fingerprints(report);
  if (InterruptGuard::caught() != 0)
    throw Interrupted(InterruptGuard::caught(), fmt::format("interrupted: {} requests were compared",
                                                            report.same + report.differing + report.failed));
  if (report.differing + report.failed > 0)
    throw Error("[replay] {} of {} replies are not as in the log, {} of them failed",
                report.differing + report.failed, report.same + report.differing + report.failed,
                report.failed);
  return 0;
}

}  // namespace

void add_replay(Command& program) {
  Command& command = program.add_command(
      "replay", "Run the requests of a server's --request-log again and compare their replies");
  command.note("Give --model and its flags to run them here, or --url to ask a server.");
  const auto flags = std::make_shared<ReplayFlags>();
  command.text("file", flags->file, "what reprise serve --request-log wrote", "FILE").required();
  add_model_flags(command, flags->load, ModelFlag::optional);
  flags->remote.add(command);
  require_one_model(command, flags->load, flags->remote, /*name_with_url=*/false);
  command.add(
      "--order", "TEXT",
      [flags](const std::string& name, const std::string& text) {
        client::replay_order(name, text, 0);
        flags->settings.order = text;
      },
      "file, reverse or shuffle:SEED (file)");
  command.integer("--concurrency", flags->settings.concurrency, 1, 65'536, "requests at a time (1)");
  command.on_off("--skip-broken", flags->settings.skip_broken, "tell lines that are broken, and go on");
  command.on_off("--json", flags->json, "one line of JSON");
  command.action([flags] { return run_replay(*flags); });
}

}  // namespace reprise::cli
