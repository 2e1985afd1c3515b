#include "client/load/load_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "core/json.h"
#include "core/nearest.h"

namespace reprise::client {
namespace {

struct LimitName {
  std::string_view name;
  double GoodputLimits::*limit;
};
constexpr LimitName kLimits[] = {{"ttft", &GoodputLimits::ttft},
                                 {"tpot", &GoodputLimits::tpot},
                                 {"itl", &GoodputLimits::itl},
                                 {"e2e", &GoodputLimits::e2e}};

void set_limit(const std::string& flag, std::string_view item, GoodputLimits& limits) {
  const size_t colon = item.find(':');
  const std::string_view name = item.substr(0, colon);
  std::vector<std::string_view> names;
  for (const LimitName& known : kLimits) {
    names.push_back(known.name);
    if (known.name != name || colon == std::string_view::npos) continue;
    const std::string text(item.substr(colon + 1));
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(value > 0 && value < 1e9))
      throw Error("[{}] {} is '{}', expected milliseconds above 0", flag, name, text.substr(0, 80));
    limits.*known.limit = value;
    return;
  }
  const std::string_view near = nearest_name(name, names);
  throw Error(
      "[{}] is '{}', expected limits such as ttft:500,tpot:50 of ttft, tpot, itl and e2e in milliseconds{}{}{}",
      flag, item.substr(0, 80), near.empty() || near == name ? "" : "; did you mean ",
      near == name ? "" : near, near.empty() || near == name ? "" : "?");
}

double percentile(const std::vector<double>& sorted, double share) {
  const double place = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(place);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (place - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

Json times_json(const Times& times) {
  return {{"count", times.count}, {"mean", times.mean}, {"p50", times.p50}, {"p90", times.p90},
          {"p95", times.p95},     {"p99", times.p99},   {"max", times.most}};
}

void append_times(std::string& to, std::string_view name, const Times& times) {
  if (times.count == 0) {
    fmt::format_to(std::back_inserter(to), "{:<10} {:>9}\n", name, "none");
    return;
  }
  fmt::format_to(std::back_inserter(to), "{:<10} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f} {:>9.2f}\n",
                 name, times.mean, times.p50, times.p90, times.p95, times.p99, times.most);
}

double tpot_ms(const RequestRecord& record) {
  return record.output_tokens > 1
             ? (record.total_s - record.first_s) * 1000 / static_cast<double>(record.output_tokens - 1)
             : 0;
}

bool is_good(const RequestRecord& record, const GoodputLimits& limits) {
  const double slowest =
      record.gaps_s.empty() ? 0 : static_cast<double>(*std::ranges::max_element(record.gaps_s)) * 1000;
  const auto within = [](double value, double limit) { return limit <= 0 || value <= limit; };
  return within(record.first_s * 1000, limits.ttft) && within(tpot_ms(record), limits.tpot) &&
         within(slowest, limits.itl) && within(record.total_s * 1000, limits.e2e);
}

}  // namespace

GoodputLimits parse_goodput(const std::string& flag, std::string_view text) {
  GoodputLimits limits;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    set_limit(flag, text.substr(at, comma - at), limits);
    at = comma + 1;
  }
  return limits;
}

Times times_of(std::vector<double> values) {
  Times times{.count = values.size()};
  if (values.empty()) return times;
  std::ranges::sort(values);
  double sum = 0;
  for (const double value : values) sum += value;
  times.mean = sum / static_cast<double>(values.size());
  times.p50 = percentile(values, 0.5);
  times.p90 = percentile(values, 0.9);
  times.p95 = percentile(values, 0.95);
  times.p99 = percentile(values, 0.99);
  times.most = values.back();
  return times;
}

LoadReport report_of(const LoadResult& result, const GoodputLimits& limits) {
  LoadReport report{.duration_s = result.duration_s,
                    .chunks = result.chunks,
                    .most_open = result.most_open,
                    .limits = limits,
                    .client_cpu_s = result.client_cpu_s};
  std::vector<double> ttft, tpot, itl, e2e;
  for (const RequestRecord& record : result.requests) {
    if (!record.error.empty()) {
      ++report.failed;
      ++report.errors[record.error];
      report.samples.emplace(record.error, record.what);
      continue;
    }
    ++report.completed;
    if (!record.has_usage) ++report.without_usage;
    report.input_tokens += record.prompt_tokens;
    report.output_tokens += record.output_tokens;
    report.cached_tokens += record.cached_tokens;
    ttft.push_back(record.first_s * 1000);
    if (record.output_tokens > 1) tpot.push_back(tpot_ms(record));
    for (const float gap : record.gaps_s) itl.push_back(static_cast<double>(gap) * 1000);
    e2e.push_back(record.total_s * 1000);
    if (is_good(record, limits)) ++report.good;
  }
  report.ttft = times_of(std::move(ttft));
  report.tpot = times_of(std::move(tpot));
  report.itl = times_of(std::move(itl));
  report.e2e = times_of(std::move(e2e));
  return report;
}

Json report_json(const LoadReport& report) {
  Json json = {{"duration_s", report.duration_s},
               {"completed", report.completed},
               {"failed", report.failed},
               {"errors", report.errors},
               {"error_samples", report.samples},
               {"without_usage", report.without_usage},
               {"input_tokens", report.input_tokens},
               {"output_tokens", report.output_tokens},
               {"cached_tokens", report.cached_tokens},
               {"chunks", report.chunks},
               {"most_open", report.most_open},
               {"requests_per_s", report.per_second(report.completed)},
               {"output_tokens_per_s", report.per_second(report.output_tokens)},
               {"tokens_per_s", report.per_second(report.input_tokens + report.output_tokens)},
               {"ttft_ms", times_json(report.ttft)},
               {"tpot_ms", times_json(report.tpot)},
               {"itl_ms", times_json(report.itl)},
               {"e2e_ms", times_json(report.e2e)},
               {"client_cpu_s", report.client_cpu_s}};
  if (report.limits.any()) {
    Json limits = Json::object();
    for (const LimitName& known : kLimits)
      if (report.limits.*known.limit > 0) limits[std::string(known.name)] = report.limits.*known.limit;
    json["goodput"] = {
        {"limits_ms", limits}, {"requests", report.good}, {"requests_per_s", report.per_second(report.good)}};
  }
  return json;
}

std::string report_table(const LoadReport& report) {
  std::string to;
  const auto out = std::back_inserter(to);
  fmt::format_to(out, "{} requests completed, {} failed, in {:.2f} s; at most {} open\n", report.completed,
                 report.failed, report.duration_s, report.most_open);
  for (const auto& [kind, count] : report.errors)
    fmt::format_to(out, "  {} x {}: {}\n", count, kind, report.samples.at(kind));
  fmt::format_to(out, "{} tokens in ({} of them cached), {} out", report.input_tokens, report.cached_tokens,
                 report.output_tokens);
  if (report.without_usage > 0)
    fmt::format_to(out, " ({} replies had no usage: their tokens are chunks)", report.without_usage);
  fmt::format_to(out, "\n{:.2f} requests/s, {:.1f} output tokens/s, {:.1f} tokens/s\n",
                 report.per_second(report.completed), report.per_second(report.output_tokens),
                 report.per_second(report.input_tokens + report.output_tokens));
  if (report.limits.any())
    fmt::format_to(out, "goodput: {} requests within the limits, {:.2f} requests/s\n", report.good,
                   report.per_second(report.good));
  fmt::format_to(out, "{:<10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "ms", "mean", "p50", "p90", "p95",
                 "p99", "max");
  append_times(to, "TTFT", report.ttft);
  append_times(to, "TPOT", report.tpot);
  append_times(to, "ITL", report.itl);
  append_times(to, "E2E", report.e2e);
  fmt::format_to(std::back_inserter(to), "the client itself took {:.2f} s of CPU, {:.1f} us a chunk\n",
                 report.client_cpu_s,
                 report.chunks > 0 ? report.client_cpu_s * 1e6 / static_cast<double>(report.chunks) : 0);
  return to;
}

}  // namespace reprise::client
