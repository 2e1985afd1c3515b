#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "server/service.h"

namespace reprise::server {
namespace {

std::vector<double> seconds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
}
std::vector<double> short_seconds() {
  return {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5};
}
std::vector<double> tokens() {
  return {1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
}

void write_value(std::string& to, std::string_view name, std::string_view type, std::string_view help,
                 double value) {
  fmt::format_to(std::back_inserter(to), "# HELP reprise:{0} {1}\n# TYPE reprise:{0} {2}\nreprise:{0} {3}\n",
                 name, help, type, value);
}

double share(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace

void Histogram::add(double value) {
  const auto place = std::ranges::lower_bound(bounds_, value);
  ++counts_[static_cast<size_t>(place - bounds_.begin())];
  sum_ += value;
}

void Histogram::write(std::string& to, std::string_view name, std::string_view help) const {
  fmt::format_to(std::back_inserter(to), "# HELP reprise:{0} {1}\n# TYPE reprise:{0} histogram\n", name,
                 help);
  int64_t below = 0;
  for (size_t i = 0; i < bounds_.size(); ++i) {
    below += counts_[i];
    fmt::format_to(std::back_inserter(to), "reprise:{}_bucket{{le=\"{}\"}} {}\n", name, bounds_[i], below);
  }
  below += counts_.back();
  fmt::format_to(std::back_inserter(to),
                 "reprise:{0}_bucket{{le=\"+Inf\"}} {1}\nreprise:{0}_sum {2}\nreprise:{0}_count {1}\n", name,
                 below, sum_);
}

Metrics::Metrics()
    : first_token_(seconds()),
      per_token_(short_seconds()),
      total_(seconds()),
      queue_(seconds()),
      prefill_(seconds()),
      decode_(seconds()),
      inference_(seconds()),
      prompt_length_(tokens()),
      output_length_(tokens()) {}

void Metrics::count(const RequestLine& line, const engine::RequestMetrics& engine) {
  const std::lock_guard lock(mutex_);
  ++requests_;
  ++by_reason_[line.reason];
  prompt_tokens_ += line.usage.prompt_tokens;
  generated_tokens_ += line.usage.output_tokens;
  total_.add(line.total_s);
  if (line.reason != "stop" && line.reason != "length") return;
  ++succeeded_;
  prompt_length_.add(static_cast<double>(line.usage.prompt_tokens));
  output_length_.add(static_cast<double>(line.usage.output_tokens));
  if (line.first_token_s > 0) first_token_.add(line.first_token_s);
  if (engine.decode_tokens_per_s > 0) per_token_.add(1 / engine.decode_tokens_per_s);
  queue_.add(engine.queue_s);
  prefill_.add(std::max(0.0, engine.time_to_first_token_s - engine.queue_s));
  decode_.add(std::max(0.0, engine.total_s - engine.time_to_first_token_s));
  inference_.add(std::max(0.0, engine.total_s - engine.queue_s));
}

std::string Metrics::text(const Service& service) const {
  const api::Health health = service.model.health();
  const engine::EngineStats stats = service.model.stats();
  const ModelInfo& info = service.model.info();
  std::string to;
  const auto gauge = [&](std::string_view name, std::string_view help, int64_t value) {
    write_value(to, name, "gauge", help, static_cast<double>(value));
  };
  const auto counter = [&](std::string_view name, std::string_view help, int64_t value) {
    write_value(to, name, "counter", help, static_cast<double>(value));
  };
  gauge("num_requests_running", "Outputs that are being computed.", health.running);
  gauge("num_requests_waiting", "Outputs and requests that wait for a place.", health.waiting);
  gauge("batch_size", "Outputs of the last step.", stats.running);
  gauge("free_gpu_block_num", "KV blocks that are free.", stats.free_blocks);
  gauge("max_gpu_block_num", "KV blocks in all.", info.kv_blocks);
  write_value(to, "gpu_cache_usage_perc", "gauge", "Share of the KV blocks that are in use.",
              share(info.kv_blocks - stats.free_blocks, info.kv_blocks));
  gauge("prefix_cache_token_num", "Tokens whose KV blocks the prefix cache can find.",
        stats.cached_blocks * info.kv_block_size);
  counter("prefix_cache_queries_total", "Tokens of prompts that were looked up in the prefix cache.",
          stats.prefix_tokens);
  counter("prefix_cache_hits_total", "Of these, tokens that were found.", stats.prefix_hit_tokens);
  write_value(to, "hit_req_rate", "gauge", "Share of the outputs that found a part of their prompt cached.",
              share(stats.prefix_hits, stats.prefix_requests));
  write_value(to, "hit_token_rate", "gauge", "Share of the prompts' tokens that were found cached.",
              share(stats.prefix_hit_tokens, stats.prefix_tokens));
  gauge("max_batch_size", "Outputs that a step may compute.", info.max_num_seqs);
  gauge("available_batch_size", "Of these, places that are free.",
        std::max<int64_t>(0, info.max_num_seqs - stats.running));
  counter("num_preemptions_total", "Outputs that had to give up their KV blocks and begin again.",
          stats.preemptions);
  counter("graph_steps_replayed_total", "Steps that ran as a replay.", stats.steps.replayed);
  fmt::format_to(std::back_inserter(to),
                 "# HELP reprise:graph_steps_not_replayed_total Steps that ran launch by launch, by reason.\n"
                 "# TYPE reprise:graph_steps_not_replayed_total counter\n");
  for (size_t i = 0; i < engine::kNotReplayedReasons; ++i)
    fmt::format_to(std::back_inserter(to), "reprise:graph_steps_not_replayed_total{{reason=\"{}\"}} {}\n",
                   engine::code_of(static_cast<engine::NotReplayed>(i)), stats.steps.not_replayed[i]);
  counter("graph_padding_tokens_total", "Rows that replays computed for nobody.", stats.steps.padding_tokens);
  counter("sampled_tokens_total", "Tokens that steps sampled, those of requests that go on included.",
          stats.generated_tokens);
  counter("log_lines_lost_total", "Lines of the log that could not be written.", lost_lines_);
  if (service.settings.request_log)
    counter("request_log_lines_lost_total", "Lines of --request-log that could not be written.",
            service.settings.request_log->lost());
  const std::lock_guard lock(mutex_);
  counter("requests_number", "Requests that are over.", requests_);
  counter("request_success_total", "Requests that ended by stop or length.", succeeded_);
  counter("prompt_tokens_total", "Tokens of prompts.", prompt_tokens_);
  counter("generation_tokens_total", "Tokens of outputs.", generated_tokens_);
  fmt::format_to(
      std::back_inserter(to),
      "# HELP reprise:request_finish_total Requests by why they ended.\n# TYPE reprise:request_finish_total counter\n");
  for (const auto& [reason, count] : by_reason_)
    fmt::format_to(std::back_inserter(to), "reprise:request_finish_total{{reason=\"{}\"}} {}\n", reason,
                   count);
  first_token_.write(to, "time_to_first_token_seconds", "From the request to its first token.");
  per_token_.write(to, "time_per_output_token_seconds",
                   "Mean time of a token after the first, of each request.");
  total_.write(to, "e2e_request_latency_seconds", "From the request to the end of its reply.");
  queue_.write(to, "request_queue_time_seconds", "Until the engine began.");
  prefill_.write(to, "request_prefill_time_seconds", "From the beginning to the first token.");
  decode_.write(to, "request_decode_time_seconds", "From the first token to the last.");
  inference_.write(to, "request_inference_time_seconds", "From the beginning to the last token.");
  prompt_length_.write(to, "request_prompt_tokens", "Tokens of a prompt.");
  output_length_.write(to, "request_generation_tokens", "Tokens of a request's outputs.");
  return to;
}

}  // namespace reprise::server
