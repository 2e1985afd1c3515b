#include "client/load/load_run.h"

#include <sys/resource.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "client/chunk_scan.h"
#include "client/load/random_numbers.h"
#include "client/sse_reader.h"
#include "core/error.h"

namespace reprise::client {
namespace {

using Clock = HttpLoop::Clock;

double seconds(Clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

double thread_cpu_s() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

class Load {
 public:
  Load(HttpLoop& loop, const LoadSettings& settings, const std::vector<std::string>& bodies,
       const std::function<void(int64_t)>& progress)
      : loop_(loop), settings_(settings), bodies_(bodies), progress_(progress), arrivals_(settings.seed) {}

  LoadResult run(const std::function<bool()>& interrupted) {
    const double cpu = thread_cpu_s();
    begin_ = last_end_ = Clock::now();
    if (settings_.rate > 0)
      arrive(begin_);
    else
      for (int64_t i = 0; i < settings_.concurrency; ++i) start(Clock::now());
    loop_.run([&] {
      stopping_ = stopping_ || (interrupted && interrupted());
      return stopping_;
    });
    if (stopping_) {
      loop_.cancel_all();
      loop_.run();
    }
    result_.duration_s = seconds(last_end_ - begin_);
    result_.client_cpu_s = thread_cpu_s() - cpu;
    return std::move(result_);
  }

 private:
  struct Open {
    RequestRecord record;
    Clock::time_point start, now, first, last;
    bool has_text = false, has_chunk = false, done = false;
    int status = 0;
    std::string reply;  // of a status that is no 200
    SseReader events{nullptr};
  };
  static constexpr size_t kMostErrorBytes = 4096;

  bool may_start() const {
    if (stopping_ || (settings_.requests > 0 && started_ >= settings_.requests)) return false;
    return settings_.duration_s <= 0 || seconds(Clock::now() - begin_) < settings_.duration_s;
  }

  // The next request of a Poisson process, and the one after it.
  void arrive(Clock::time_point due) {
    if (!may_start()) return;
    start(due);
    const auto after = std::chrono::duration<double>(arrivals_.exponential() / settings_.rate);
    const Clock::time_point next = due + std::chrono::duration_cast<Clock::duration>(after);
    if (settings_.duration_s > 0 && seconds(next - begin_) >= settings_.duration_s) return;
    loop_.at(next, [this, next] { arrive(next); });
  }

  void start(Clock::time_point due) {
    if (!may_start()) return;
    const auto open = std::make_shared<Open>();
    open->start = due;
    open->record.start_s = seconds(due - begin_);
    open->events = SseReader(
        [this, raw = open.get()](std::string_view event, std::string_view data) { take(*raw, event, data); });
    result_.most_open = std::max(result_.most_open, ++open_);
    HttpEvents events;
    events.head = [open](int status, const HttpFields& fields) {
      open->status = status;
      if (status == 200 && !field_of(fields, "content-type").starts_with("text/event-stream"))
        fail(*open, "no_stream", "the reply is no stream of events");
    };
    events.body = [open](std::string_view piece) {
      if (open->status != 200) {
        open->reply.append(piece.substr(0, kMostErrorBytes - std::min(kMostErrorBytes, open->reply.size())));
        return;
      }
      open->now = Clock::now();
      try {
        open->events.feed(piece);
      } catch (const Error& error) {
        fail(*open, "malformed", error.what());
      }
    };
    events.end = [this, open](const HttpEnd& end) { finish(*open, end); };
    const std::string& body = bodies_[static_cast<size_t>(started_++) % bodies_.size()];
    loop_.ask({.path = settings_.path, .body = body}, std::move(events));
  }

  static void fail(Open& open, std::string kind, std::string what) {
    if (!open.record.error.empty()) return;
    open.record.error = std::move(kind);
    open.record.what = std::move(what);
  }

  void take(Open& open, std::string_view event, std::string_view data) {
    const ChunkNews news = scan_chunk(data);
    if (news.done) {
      open.done = true;
      return;
    }
    if (news.error || event == "error") return fail(open, "stream_error", error_message_of(data));
    if (news.usage) {
      const ChunkUsage usage = usage_of(data);
      open.record.prompt_tokens = usage.prompt_tokens;
      open.record.output_tokens = usage.output_tokens;
      open.record.cached_tokens = usage.cached_tokens;
      open.record.has_usage = true;
    }
    if (!news.text) {
      if (!open.has_chunk) open.first = open.now;  // of an output without any text
      open.has_chunk = true;
      return;
    }
    ++result_.chunks;
    if (!open.has_text)
      open.first = open.now;
    else
      open.record.gaps_s.push_back(static_cast<float>(seconds(open.now - open.last)));
    open.has_text = open.has_chunk = true;
    open.last = open.now;
  }

  void finish(Open& open, const HttpEnd& end) {
    --open_;
    if (end.trouble == Trouble::cancelled) return;
    last_end_ = Clock::now();
    RequestRecord& record = open.record;
    if (end.trouble != Trouble::none)
      fail(open, std::string(name_of(end.trouble)), end.what);
    else if (open.status != 200)
      fail(open, fmt::format("http_{}", open.status), error_message_of(open.reply));
    else if (!open.done || !open.has_chunk)
      fail(open, "incomplete", "the stream ended without its last event");
    record.total_s = seconds(last_end_ - open.start);
    if (open.has_chunk) record.first_s = seconds(open.first - open.start);
    if (!record.has_usage && open.has_text)
      record.output_tokens = static_cast<int64_t>(record.gaps_s.size()) + 1;
    const bool failed = !record.error.empty();
    result_.requests.push_back(std::move(record));
    if (progress_) progress_(static_cast<int64_t>(result_.requests.size()));
    if (settings_.rate > 0) return;
    // A server that refuses at once is not asked again at once.
    if (failed)
      loop_.at(Clock::now() + std::chrono::milliseconds(100), [this] { start(Clock::now()); });
    else
      start(Clock::now());
  }

  HttpLoop& loop_;
  const LoadSettings& settings_;
  const std::vector<std::string>& bodies_;
  const std::function<void(int64_t)>& progress_;
  RandomNumbers arrivals_;
  LoadResult result_;
  Clock::time_point begin_, last_end_;
  int64_t started_ = 0, open_ = 0;
  bool stopping_ = false;
};

}  // namespace

LoadResult run_load(HttpLoop& loop, const LoadSettings& settings, const std::vector<std::string>& bodies,
                    const std::function<bool()>& interrupted, const std::function<void(int64_t)>& progress) {
  return Load(loop, settings, bodies, progress).run(interrupted);
}

}  // namespace reprise::client
