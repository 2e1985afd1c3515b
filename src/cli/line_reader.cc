#include "cli/line_reader.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "cli/interrupt.h"
#include "core/error.h"

namespace reprise::cli {
namespace {

constexpr size_t kReadBytes = size_t{64} << 10;

}  // namespace

LineReader::LineReader(const std::string& path, std::string flag, size_t max_line)
    : path_(path), flag_(std::move(flag)), max_line_(max_line) {
  if (path == "-") {
    path_ = "standard input";
    fd_ = STDIN_FILENO;
    return;
  }
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0) throw Error("[{}] cannot open {}: {}", flag_, path_, std::strerror(errno));
}

LineReader::~LineReader() {
  if (fd_ > STDIN_FILENO) ::close(fd_);
}

bool LineReader::fill() {
  if (begin_ > 0 && begin_ >= buffer_.size() / 2) {  // moving what is left costs no more than reading did
    buffer_.erase(0, begin_);
    searched_ -= begin_;
    begin_ = 0;
  }
  const size_t had = buffer_.size();
  buffer_.resize(had + kReadBytes);
  ssize_t count = 0;
  do {
    count = ::read(fd_, buffer_.data() + had, kReadBytes);
  } while (count < 0 && errno == EINTR && InterruptGuard::caught() == 0);
  const int error = errno;
  buffer_.resize(had + static_cast<size_t>(std::max<ssize_t>(count, 0)));
  if (count < 0 && error == EINTR) return false;
  if (count < 0) throw Error("[{}] cannot read {}: {}", flag_, path_, std::strerror(error));
  end_ = count == 0;
  return true;
}

// A whole line of the buffer, or what is left at the end of the file.
bool LineReader::take_line(std::string& line, Got& got) {
  size_t feed = buffer_.find('\n', searched_);
  searched_ = feed == std::string::npos ? buffer_.size() : feed + 1;
  const bool complete = feed != std::string::npos;
  if (!complete) feed = buffer_.size();
  if (!complete && !end_) {
    if (feed - begin_ <= max_line_) return false;
    skipping_ = true;
    begin_ = feed;
    return false;
  }
  const bool nothing_left = !complete && begin_ == feed && !skipping_;
  got = nothing_left ? Got::end : skipping_ || feed - begin_ > max_line_ ? Got::too_long : Got::line;
  line.assign(buffer_, begin_, got == Got::line ? feed - begin_ : 0);
  if (line.ends_with('\r')) line.pop_back();
  skipping_ = false;
  begin_ = searched_;
  return true;
}

LineReader::Got LineReader::next(std::string& line, bool may_wait) {
  for (Got got = Got::end;;) {
    if (take_line(line, got)) return got;
    if (!may_wait) {
      pollfd ready{.fd = fd_, .events = POLLIN, .revents = 0};
      if (::poll(&ready, 1, 0) == 0) return Got::not_yet;
    }
    if (!fill()) return Got::end;
  }
}

}  // namespace reprise::cli
