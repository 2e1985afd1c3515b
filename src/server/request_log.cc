#include "server/request_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>

#include "core/error.h"
#include "core/fnv1a.h"
#include "server/reply_text.h"

namespace reprise::server {
namespace {

// Of lines that wait for the disk. Beyond it lines are lost.
constexpr size_t kMostQueued = size_t{64} << 20;

// A file that is ours alone. Throws Error.
int open_log(const std::string& path) {
  const int file =
      open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
  if (file < 0)
    throw Error("[--request-log] {} can't be opened: {}; give a path whose folder exists and is writable",
                path, std::strerror(errno));
  struct stat about = {};
  std::string wrong;
  if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode))
    wrong = "is no regular file; give another path";
  else if (about.st_uid != geteuid())
    wrong = "belongs to another user, who could read what is written; give another path";
  else if ((about.st_mode & 077) != 0)
    wrong = fmt::format(
        "has the rights {:o}, and requests must be for its owner alone; chmod 600 it, or give another path",
        about.st_mode & 0777);
  else if (flock(file, LOCK_EX | LOCK_NB) != 0)
    wrong = "is written by another process; give another path";
  if (wrong.empty()) return file;
  close(file);
  throw Error("[--request-log] {} {}", path, wrong);
}

}  // namespace

struct RequestLog::Impl {
  explicit Impl(std::string at) : path(std::move(at)), file(open_log(path)), thread([this] { run(); }) {
    pthread_setname_np(thread.native_handle(), "reprise-log");
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      ending = true;
    }
    changed.notify_one();
    thread.join();
    if (file >= 0) close(file);
  }

  void add(std::string line) {
    {
      const std::lock_guard lock(mutex);
      if (queued + line.size() > kMostQueued) {
        ++lost;
        return;
      }
      queued += line.size();
      lines.push_back(std::move(line));
    }
    changed.notify_one();
  }

  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return ending || !lines.empty(); });
      if (lines.empty()) return;
      std::vector<std::string> batch = std::exchange(lines, {});
      lock.unlock();
      follow_path();
      size_t bytes = 0;
      for (std::string& line : batch) {
        bytes += line.size();
        line.push_back('\n');
        if (!write_line(line)) ++lost;
      }
      lock.lock();
      queued -= bytes;
    }
  }

  // The file may have been moved away, as log rotation does, or deleted.
  void follow_path() noexcept {
    struct stat at_path = {}, of_file = {};
    if (file >= 0 && stat(path.c_str(), &at_path) == 0 && fstat(file, &of_file) == 0 &&
        at_path.st_ino == of_file.st_ino && at_path.st_dev == of_file.st_dev)
      return;
    if (file >= 0) close(std::exchange(file, -1));
    try {
      file = open_log(path);
    } catch (const std::exception&) {  // its lines are lost, and counted
    }
  }

  // All of it or nothing: half a line would spoil the next one.
  bool write_line(const std::string& line) const {
    if (file < 0) return false;
    const off_t before = lseek(file, 0, SEEK_END);
    for (size_t at = 0; at < line.size();) {
      const ssize_t written = ::write(file, line.data() + at, line.size() - at);
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        if (at > 0 && ftruncate(file, before) != 0) return false;
        return false;
      }
      at += static_cast<size_t>(written);
    }
    return true;
  }

  const std::string path;
  int file;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> lines;  // guarded by mutex, as all below
  size_t queued = 0;
  bool ending = false;
  std::atomic<int64_t> lost{0};
  std::thread thread;  // last: it uses all above
};

RequestLog::RequestLog(std::string path) : impl_(std::make_unique<Impl>(std::move(path))) {}
RequestLog::~RequestLog() = default;

void RequestLog::add(std::string line) {
  impl_->add(std::move(line));
}

void RequestLog::lose() {
  ++impl_->lost;
}

int64_t RequestLog::lost() const {
  return impl_->lost;
}

void LoggedRequest::add(size_t prompt, int64_t prompt_tokens, const api::OutputDelta& delta) {
  if (prompts_.size() <= prompt) prompts_.resize(prompt + 1);
  prompts_[prompt].tokens = prompt_tokens;
  auto& outputs = prompts_[prompt].outputs;
  const auto number = static_cast<size_t>(delta.output);
  if (outputs.size() <= number) outputs.resize(number + 1, Output{.text_hash = kFnv1aOfNothing});
  Output& output = outputs[number];
  if (!output.finish_reason.empty()) return;
  output.ids.insert(output.ids.end(), delta.token_ids.begin(), delta.token_ids.end());
  output.text_bytes += delta.text.size();
  output.text_hash = fnv1a(delta.text, output.text_hash);
  if (delta.complete) output.finish_reason = delta.finish_reason;
  if (!logprobs_) return;
  for (const TokenLogprob& token : delta.logprobs) output.logprobs.push_back(token.logprob);
  for (const TokenLogprob& token : delta.prompt_logprobs) output.prompt_logprobs.push_back(token.logprob);
}

namespace {

void append_floats(std::string& to, const std::vector<float>& values) {
  to.push_back('[');
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) to.push_back(',');
    append_logprob(to, values[i]);
  }
  to.push_back(']');
}

}  // namespace

std::string LoggedRequest::line(const Identity& identity) const {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  std::string to =
      fmt::format("{{\"version\":1,\"time\":{:.3f},\"id\":", std::chrono::duration<double>(now).count());
  const auto out = std::back_inserter(to);
  append_json_string(to, identity.id);
  to.append(",\"path\":");
  append_json_string(to, identity.path);
  to.append(",\"body\":");
  append_json_string(to, identity.body);
  to.append(",\"fingerprint\":");
  append_json_string(to, identity.fingerprint);
  if (!seeds_.empty()) fmt::format_to(out, ",\"drawn_seeds\":[{}]", fmt::join(seeds_, ","));
  fmt::format_to(out, ",\"status\":{},\"end\":", identity.status);
  append_json_string(to, identity.end);
  to.append(",\"prompts\":[");
  for (size_t p = 0; p < prompts_.size(); ++p) {
    fmt::format_to(out, "{}{{\"prompt_tokens\":{},\"outputs\":[", p > 0 ? "," : "", prompts_[p].tokens);
    for (size_t i = 0; i < prompts_[p].outputs.size(); ++i) {
      const Output& output = prompts_[p].outputs[i];
      to.append(i > 0 ? ",{\"token_ids\":" : "{\"token_ids\":");
      append_ids(to, output.ids);
      fmt::format_to(out,
                     ",\"text_bytes\":{},\"text_fnv1a\":\"{:016x}\",\"finish_reason\":", output.text_bytes,
                     output.text_hash);
      append_json_string(to, output.finish_reason);
      if (!output.logprobs.empty()) {
        to.append(",\"logprobs\":");
        append_floats(to, output.logprobs);
      }
      if (!output.prompt_logprobs.empty()) {
        to.append(",\"prompt_logprobs\":");
        append_floats(to, output.prompt_logprobs);
      }
      to.push_back('}');
    }
    to.append("]}");
  }
  return to + "]}";
}

}  // namespace reprise::server
