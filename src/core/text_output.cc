#include "core/text_output.h"

#include "core/error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace reprise {
namespace {

constexpr size_t kBufferBytes = size_t{64} << 10;
constexpr mode_t kMode = 0666;  // less the umask, as every program creates files

bool is_special_file(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
}

// Where the links lead: renaming over a link would replace the link.
std::string followed(const std::string& path) {
  std::error_code failed;
  const std::filesystem::path real = std::filesystem::canonical(path, failed);
  return failed ? path : real.string();
}

}  // namespace

TextOutput& TextOutput::standard() {
  static TextOutput output(STDOUT_FILENO);
  return output;
}

TextOutput::TextOutput(std::string path, std::string flag) : path_(std::move(path)), flag_(std::move(flag)) {
  const bool special = is_special_file(path_);
  if (!special) {
    path_ = followed(path_);
    part_ = path_ + ".part";
  }
  const std::string& opened = special ? path_ : part_;
  fd_ = ::open(opened.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode);
  if (fd_ < 0) {
    const int error = errno;
    part_.clear();
    throw Error("[{}] cannot write {}: {}; name a file in a folder that exists and may be written", flag_,
                path_, std::strerror(error));
  }
}

TextOutput::~TextOutput() {
  if (path_.empty()) return;  // standard output stays open
  if (fd_ >= 0) ::close(fd_);
  if (!part_.empty()) ::unlink(part_.c_str());
}

void TextOutput::fail(int error) {
  buffer_.clear();
  if (path_.empty()) {
    if (error == EPIPE) throw ClosedPipe("standard output was closed by its reader");
    throw Error("cannot write to standard output: {}", std::strerror(error));
  }
  throw Error("[{}] cannot write {}: {}; free space or name another file", flag_, path_,
              std::strerror(error));
}

void TextOutput::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) flush();
}

void TextOutput::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t count = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(errno);
    done += static_cast<size_t>(count);
  }
  buffer_.clear();
}

void TextOutput::close() {
  flush();
  if (path_.empty()) return;
  if (::close(std::exchange(fd_, -1)) != 0) fail(errno);
  if (part_.empty()) return;
  if (std::rename(part_.c_str(), path_.c_str()) != 0) fail(errno);
  part_.clear();
}

}  // namespace reprise
