// `reprise bench serve`: how a server holds under many clients, by what they see. Any server with OpenAI's API.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "cli/bench_batch.h"
#include "cli/command_line.h"
#include "cli/interrupt.h"
#include "cli/remote_flags.h"
#include "cli/say.h"
#include "client/chunk_scan.h"
#include "client/load/dataset.h"
#include "client/load/lengths.h"
#include "client/load/load_report.h"
#include "client/load/load_run.h"
#include "client/load/prompt_maker.h"
#include "core/error.h"
#include "core/json.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

struct BenchServeFlags {
  RemoteFlags remote;
  std::string model;
  std::string endpoint = "completions", lengths = "fixed";
  std::string dataset;
  client::LoadSettings load;
  int64_t input_tokens = 150, most_input_tokens = 0, output_tokens = 64, prefix_tokens = 0;
  int64_t warmup = 1;
  bool ignore_eos = false, json = false;
  client::GoodputLimits goodput;
  Json extra_body = Json::object();
};

bool interrupted() {
  return InterruptGuard::caught() != 0;
}

void stop_if_interrupted() {
  if (interrupted()) throw Interrupted(InterruptGuard::caught(), "interrupted before the first request");
}

// One line on standard error while prompts are made and while the load runs; silent where that is no terminal.
class Progress {
 public:
  ~Progress() { clear(); }
  void say(const std::string& what) {
    const auto now = BenchClock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    std::fprintf(stderr, "\r%s\033[K", what.c_str());
    visible_ = true;
  }
  void clear() {
    if (std::exchange(visible_, false)) std::fprintf(stderr, "\r\033[K");
  }

 private:
  const bool shown_ = isatty(STDERR_FILENO) != 0;
  bool visible_ = false;
  BenchClock::time_point last_{};
};

// The requests of a load, made before it begins.
class Bodies {
 public:
  Bodies(client::HttpLoop& loop, const BenchServeFlags& flags, const RemoteModel& model)
      : loop_(loop), flags_(flags), model_(model), chat_(flags.endpoint == "chat") {}

  std::vector<std::string> make(size_t count, Progress& progress) {
    auto counter = client::TokenCounter::find(loop_, model_.name, chat_, interrupted);
    stop_if_interrupted();
    if (!flags_.dataset.empty()) return of_dataset(count, counter);
    const client::TokenLine line = counter ? client::TokenLine{} : learn_line();
    counted_ = counter.has_value();
    client::PromptMaker prompts(std::move(counter), line, flags_.load.seed);
    prompts.share_prefix(flags_.prefix_tokens);
    std::vector<client::RequestLengths> lengths = client::uniform_lengths(
        count, flags_.load.seed, flags_.input_tokens, std::max(flags_.input_tokens, flags_.most_input_tokens),
        flags_.output_tokens);
    if (flags_.lengths == "sharegpt") {
      lengths = client::conversation_lengths(count, flags_.load.seed, model_.max_model_len);
      for (client::RequestLengths& each : lengths) each.input += flags_.prefix_tokens;
    }
    std::vector<std::string> bodies;
    for (const client::RequestLengths& each : lengths) {
      stop_if_interrupted();
      bodies.push_back(body(prompts.make(each.input), each.output, true));
      progress.say(fmt::format("{} of {} prompts made", bodies.size(), count));
    }
    inexact_ = prompts.inexact();
    return bodies;
  }
  bool counted() const { return counted_; }
  int64_t inexact() const { return inexact_; }

 private:
  std::string body(const std::string& prompt, int64_t output_tokens, bool stream) const {
    Json json = {
        {"model", model_.name}, {"max_tokens", output_tokens}, {"temperature", 0}, {"stream", stream}};
    if (chat_)
      json["messages"] = {{{"role", "user"}, {"content", prompt}}};
    else
      json["prompt"] = prompt;
    if (stream) json["stream_options"] = {{"include_usage", true}};
    if (flags_.ignore_eos) json["ignore_eos"] = true;
    json.update(flags_.extra_body);
    return to_json_text(json);
  }

  int64_t prompt_tokens_of(const std::string& prompt) const {
    const client::HttpReply reply =
        client::ask_and_wait(loop_, {.path = flags_.load.path, .body = body(prompt, 1, false)}, interrupted);
    stop_if_interrupted();
    if (reply.end.trouble != client::Trouble::none || reply.status != 200)
      throw Error("[--url] {} answers {} with: {}", loop_.url().shown, flags_.load.path,
                  reply.error_message());
    return client::usage_of(reply.body).prompt_tokens;
  }

  // Without /tokenize: two prompts, and what their usage says.
  client::TokenLine learn_line() const {
    client::PromptMaker words(std::nullopt, {}, flags_.load.seed);
    constexpr int64_t kFew = 16, kMany = 80;
    const auto few = static_cast<double>(prompt_tokens_of(words.words(kFew)));
    const auto many = static_cast<double>(prompt_tokens_of(words.words(kMany)));
    client::TokenLine line;
    if (many > few) {
      line.of_word = (many - few) / static_cast<double>(kMany - kFew);
      line.of_empty = std::max(0.0, few - line.of_word * kFew);
    }
    return line;
  }

  std::vector<std::string> of_dataset(size_t count, std::optional<client::TokenCounter>& counter) {
    constexpr double kTokensOfByte = 0.25;  // of English text, where the server doesn't count
    std::vector<std::string> bodies;
    for (const client::DatasetPair& pair : client::read_dataset(flags_.dataset, count, flags_.load.seed)) {
      stop_if_interrupted();
      const auto tokens = [&](const std::string& text) {
        return counter ? counter->count(text)
                       : std::llround(static_cast<double>(text.size()) * kTokensOfByte) + 1;
      };
      const int64_t input = tokens(pair.prompt), output = tokens(pair.answer);
      // As the usual benchmarks filter the file.
      if (input < 4 || output < 4 || input > 1024 || input + output > 2048) continue;
      if (model_.max_model_len > 0 && input + output > model_.max_model_len) continue;
      bodies.push_back(body(pair.prompt, output, true));
    }
    if (bodies.empty())
      throw Error(
          "[--dataset] {} has no conversation that fits: 4 to 1024 tokens in, at most 2048 with its answer{}",
          flags_.dataset,
          model_.max_model_len > 0 ? fmt::format(" and {} in this model", model_.max_model_len) : "");
    counted_ = counter.has_value();
    return bodies;
  }

  client::HttpLoop& loop_;
  const BenchServeFlags& flags_;
  const RemoteModel& model_;
  const bool chat_;
  bool counted_ = false;
  int64_t inexact_ = 0;
};

// How many different requests are made. They come again where there are more, or where time alone ends the load.
size_t different_requests(const client::LoadSettings& load) {
  constexpr double kMost = 4096, kMostUnbounded = 1000;
  if (load.requests > 0) return static_cast<size_t>(std::min(static_cast<double>(load.requests), kMost));
  const double arrivals = load.rate > 0 ? load.rate * load.duration_s * 1.2 + 16 : kMostUnbounded;
  return static_cast<size_t>(std::min(arrivals, kMostUnbounded));
}

void warm_up(client::HttpLoop& loop, const BenchServeFlags& flags, const std::vector<std::string>& bodies) {
  client::LoadSettings once = flags.load;
  once.concurrency = 1;
  once.rate = once.duration_s = 0;
  once.requests = static_cast<int64_t>(bodies.size());
  const client::LoadResult result = client::run_load(loop, once, bodies, interrupted, nullptr);
  stop_if_interrupted();
  for (const client::RequestRecord& record : result.requests)
    if (!record.error.empty())
      throw Error("[--url] the first request to {} failed ({}): {}", loop.url().shown, record.error,
                  record.what);
}

Json settings_json(const BenchServeFlags& flags, const RemoteModel& model, const Bodies& bodies) {
  return {{"model", model.name},
          {"endpoint", flags.endpoint},
          {"concurrency", flags.load.rate > 0 ? Json(nullptr) : Json(flags.load.concurrency)},
          {"request_rate", flags.load.rate > 0 ? Json(flags.load.rate) : Json(nullptr)},
          {"lengths", !flags.dataset.empty() ? "dataset" : flags.lengths},
          {"input_tokens", flags.input_tokens},
          {"input_tokens_max", std::max(flags.input_tokens, flags.most_input_tokens)},
          {"output_tokens", flags.output_tokens},
          {"shared_prefix_tokens", flags.prefix_tokens},
          {"ignore_eos", flags.ignore_eos},
          {"seed", flags.load.seed},
          {"prompts_counted_by_server", bodies.counted()},
          {"inexact_prompts", bodies.inexact()}};
}

int run_bench_serve(const BenchServeFlags& flags) {
  const InterruptGuard guard({SIGINT, SIGTERM});
  const std::unique_ptr<client::HttpLoop> loop = flags.remote.open();
  const RemoteModel model = remote_model(*loop, flags.model, interrupted);
  stop_if_interrupted();
  Progress progress;
  Bodies maker(*loop, flags, model);
  const auto warmup = static_cast<size_t>(flags.warmup);
  std::vector<std::string> bodies = maker.make(different_requests(flags.load) + warmup, progress);
  std::vector<std::string> first(
      bodies.end() - static_cast<std::ptrdiff_t>(std::min(warmup, bodies.size() - 1)), bodies.end());
  bodies.resize(bodies.size() - first.size());
  if (!first.empty()) warm_up(*loop, flags, first);
  const client::LoadResult result =
      client::run_load(*loop, flags.load, bodies, interrupted,
                       [&](int64_t done) { progress.say(fmt::format("{} requests done", done)); });
  progress.clear();
  const client::LoadReport report = client::report_of(result, flags.goodput);
  TextOutput& out = TextOutput::standard();
  if (flags.json) {
    Json json = client::report_json(report);
    json["url"] = loop->url().shown;
    json["settings"] = settings_json(flags, model, maker);
    out.print("{}\n", to_json_text(json));
  } else {
    out.print("{} of {}, {}{}\n", model.name, loop->url().shown, flags.load.path,
              maker.counted() ? "" : " (no /tokenize there: lengths of prompts are estimates)");
    out.write(client::report_table(report));
  }
  if (interrupted())
    throw Interrupted(InterruptGuard::caught(),
                      fmt::format("interrupted: {} requests were done", result.requests.size()));
  if (report.completed > 0) return 0;
  if (report.failed == 0) throw Error("[bench] no request was complete when the time was over");
  throw Error("[bench] all {} requests failed: {}", report.failed, report.samples.begin()->second);
}

}  // namespace

void add_bench_serve(Command& bench) {
  Command& command = bench.add_command("serve", "a server of OpenAI's API under many clients");
  command.note(
      "TTFT: from a request to its first text. TPOT: mean time of its tokens behind the first. ITL: between two chunks "
      "with text. E2E: to the end of its reply. Tokens are those of the server's own usage.");
  const auto flags = std::make_shared<BenchServeFlags>();
  flags->remote.add(command);
  command.text("--model", flags->model, "name to send (the first of /v1/models)", "NAME");
  command.choice("--endpoint", flags->endpoint, {"completions", "chat"}, "which of the API (completions)");
  command.integer("--concurrency", flags->load.concurrency, 1, 65'536,
                  "closed loop: requests that are open at a time (1)");
  command.number("--request-rate", flags->load.rate, 1e-3, 1e6,
                 "requests per second at random times (Poisson) in place of a closed loop");
  command.integer("--num-requests", flags->load.requests, 1, 1'000'000,
                  "requests in all (64, or with --duration no limit)");
  command.number("--duration", flags->load.duration_s, 1e-3, 1e6,
                 "seconds after which no further request begins");
  command.integer("--input-tokens", flags->input_tokens, 1, 1 << 24, "tokens of a prompt (150)");
  command.integer("--input-tokens-max", flags->most_input_tokens, 1, 1 << 24,
                  "prompts of --input-tokens to so many, each length as likely as any other");
  command.integer("--output-tokens", flags->output_tokens, 1, 1 << 24, "largest number of new tokens (64)");
  command.choice("--lengths", flags->lengths, {"fixed", "sharegpt"},
                 "all requests alike, or a mix like that of shared conversations (fixed)");
  command.text("--dataset", flags->dataset, "prompts and lengths of a JSON file in ShareGPT's form", "FILE");
  command.integer("--shared-prefix-tokens", flags->prefix_tokens, 0, 1 << 24,
                  "tokens that all prompts begin with; of --input-tokens (0)");
  command.on_off("--ignore-eos", flags->ignore_eos, "ask for outputs of full length (ignore_eos)");
  command.add(
      "--goodput", "TEXT",
      [flags](const std::string& name, const std::string& text) {
        flags->goodput = client::parse_goodput(name, text);
      },
      "count requests within limits in ms, such as ttft:500,tpot:50; also itl, e2e");
  command.integer("--seed", flags->load.seed, 0, INT64_MAX, "of words, lengths and arrivals (0)");
  command.integer("--warmup", flags->warmup, 0, 10'000, "requests before, one by one, not counted (1)");
  command.add(
      "--extra-body", "JSON",
      [flags](const std::string& name, const std::string& text) {
        try {
          flags->extra_body = parse_json(text, name);
        } catch (const Error&) {
          flags->extra_body = nullptr;
        }
        if (!flags->extra_body.is_object())
          throw Error("[{}] is '{}', expected a JSON object of further fields", name, shortened(text));
      },
      "further fields of each request, such as {\"temperature\": 1}");
  command.on_off("--json", flags->json, "one line of JSON");
  command.check([flags, &command] {
    if (flags->remote.url.empty()) throw Error("[bench serve] has no server; give --url http://HOST:PORT");
    if (flags->load.rate > 0 && command.given("--concurrency"))
      throw Error("[--request-rate] and [--concurrency] exclude each other; keep one");
    if (command.given("--input-tokens-max") && flags->most_input_tokens < flags->input_tokens)
      throw Error("[--input-tokens-max] is {}, less than --input-tokens {}; swap them",
                  flags->most_input_tokens, flags->input_tokens);
    if (flags->load.requests == 0 && flags->load.duration_s == 0) flags->load.requests = 64;
    if (flags->endpoint == "chat") flags->load.path = "/v1/chat/completions";
  });
  command.action([flags] { return run_bench_serve(*flags); });
}

}  // namespace reprise::cli
