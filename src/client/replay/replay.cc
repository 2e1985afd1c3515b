#include "client/replay/replay.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <numeric>
#include <utility>

#include "client/load/random_numbers.h"
#include "client/replay/compare.h"
#include "core/error.h"
#include "core/json_fields.h"

namespace reprise::client {
namespace {

class Replay {
 public:
  Replay(const LogFile& file, HttpLoop& loop, const ReplaySettings& settings,
         const std::function<bool()>& interrupted, const std::function<void(const ReplayNews&)>& news)
      : file_(file),
        loop_(loop),
        settings_(settings),
        interrupted_(interrupted),
        news_(news),
        order_(replay_order("--order", settings.order, file.lines())) {}

  ReplayReport run() {
    check_lines();
    for (int64_t i = 0; i < settings_.concurrency; ++i) next();
    loop_.run(interrupted_);
    loop_.cancel_all();  // where a signal came
    stopping_ = true;
    loop_.run();
    return std::move(report_);
  }

 private:
  // A line and its requests, which are sent one after the other.
  struct Work {
    size_t index = 0;
    LoggedLine line;
    std::vector<ReplayCall> calls;
    size_t done = 0;
    HttpReply reply;
  };

  // Nothing is sent for a file that can't be used, and what can't be compared is left out.
  void check_lines() {
    std::vector<char> wanted(file_.lines());
    for (size_t i = 0; i < file_.lines(); ++i) {
      if (interrupted_ && interrupted_()) return order_.clear();
      try {
        const LoggedLine line = file_.line(i);
        if (line.end == "abort") {
          ++report_.aborted;
        } else if (line.status != 200 || (line.end != "stop" && line.end != "length")) {
          ++report_.refused;
        } else {
          check_calls(i, line);
          report_.logged_fingerprints.insert(line.fingerprint);
          wanted[i] = 1;
        }
      } catch (const Error& error) {
        if (!settings_.skip_broken) throw;
        ++report_.broken;
        tell(ReplayNews::Kind::broken, i, "", error.what());
      }
    }
    std::erase_if(order_, [&](size_t i) { return wanted[i] == 0; });
  }

  void check_calls(size_t index, const LoggedLine& line) const {
    try {
      replay_calls(line, settings_.keep_model);
    } catch (const Error& error) {
      throw Error("{}: {}", file_.name_of(index), error.what());
    }
  }

  void tell(ReplayNews::Kind kind, size_t index, std::string id, std::string what) const {
    news_({.kind = kind, .number = file_.number(index), .id = std::move(id), .what = std::move(what)});
  }

  void next() {
    if (stopping_ || place_ >= order_.size()) return;
    const auto work = std::make_shared<Work>();
    work->index = order_[place_++];
    work->line = file_.line(work->index);
    work->calls = replay_calls(work->line, settings_.keep_model);
    ask(work);
  }

  void ask(const std::shared_ptr<Work>& work) {
    work->reply = {};
    HttpEvents events;
    events.head = [work](int status, const HttpFields&) { work->reply.status = status; };
    events.body = [work](std::string_view piece) { work->reply.body.append(piece); };
    events.end = [this, work](const HttpEnd& end) {
      work->reply.end = end;
      if (end.trouble != Trouble::cancelled) take(work);
    };
    loop_.ask({.path = work->line.path, .body = work->calls[work->done].body}, std::move(events));
  }

  void take(const std::shared_ptr<Work>& work) {
    const HttpReply& reply = work->reply;
    const auto end = [&](int64_t& count, ReplayNews::Kind kind, std::string what) {
      ++count;
      tell(kind, work->index, work->line.id, std::move(what));
      next();
    };
    if (reply.end.trouble != Trouble::none || reply.status != 200)
      return end(report_.failed, ReplayNews::Kind::failed,
                 reply.status > 0 && reply.status != 200
                     ? fmt::format("status {}: {}", reply.status, reply.error_message())
                     : reply.error_message());
    std::string difference;
    try {
      report_.found_fingerprints.insert(fingerprint_of(reply.body));
      difference = first_difference(work->line, work->calls[work->done], reply.body,
                                    [this](const std::vector<int32_t>& ids) { return text_of(ids); });
    } catch (const Error& error) {
      return end(report_.failed, ReplayNews::Kind::failed, error.what());
    }
    if (!difference.empty()) return end(report_.differing, ReplayNews::Kind::differs, std::move(difference));
    if (++work->done < work->calls.size()) return ask(work);
    ++report_.same;
    next();
  }

  std::string text_of(const std::vector<int32_t>& ids) {
    if (ids.empty()) return {};
    if (!texts_) texts_ = std::make_unique<HttpLoop>(loop_.url(), loop_.settings());
    const HttpReply reply =
        ask_and_wait(*texts_, {.path = "/detokenize", .body = to_json_text(Json{{"tokens", ids}})});
    if (reply.status != 200) throw Error("/detokenize: {}", reply.error_message());
    const Json json = parse_json(reply.body, "reply of /detokenize");
    return JsonFields(json, "reply of /detokenize").at("prompt").string();
  }

  const LogFile& file_;
  HttpLoop& loop_;
  const ReplaySettings& settings_;
  const std::function<bool()>& interrupted_;
  const std::function<void(const ReplayNews&)>& news_;
  std::vector<size_t> order_;
  size_t place_ = 0;
  bool stopping_ = false;
  ReplayReport report_;
  std::unique_ptr<HttpLoop> texts_;  // of its own: it is asked while the other one runs
};

}  // namespace

std::vector<size_t> replay_order(const std::string& flag, std::string_view order, size_t lines) {
  std::vector<size_t> list(lines);
  std::iota(list.begin(), list.end(), size_t{0});
  if (order == "file") return list;
  if (order == "reverse") {
    std::ranges::reverse(list);
    return list;
  }
  constexpr std::string_view kShuffle = "shuffle:";
  uint64_t seed = 0;
  if (order.starts_with(kShuffle)) {
    const std::string_view text = order.substr(kShuffle.size());
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), seed);
    if (status == std::errc() && end == text.data() + text.size()) {
      RandomNumbers random(seed);
      for (size_t i = lines; i > 1; --i) std::swap(list[i - 1], list[random.below(i)]);
      return list;
    }
  }
  throw Error("[{}] is '{}', expected file, reverse or shuffle:SEED with a number", flag,
              order.substr(0, 80));
}

ReplayReport run_replay(const LogFile& file, HttpLoop& loop, const ReplaySettings& settings,
                        const std::function<bool()>& interrupted,
                        const std::function<void(const ReplayNews&)>& news) {
  return Replay(file, loop, settings, interrupted, news).run();
}

}  // namespace reprise::client
