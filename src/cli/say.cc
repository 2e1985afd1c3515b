#include "cli/say.h"

#include <unistd.h>

namespace reprise::cli {
namespace {

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDERR_FILENO, text.data(), text.size());
    if (count <= 0) return;
    text.remove_prefix(static_cast<size_t>(count));
  }
}

void say(std::string_view kind, std::string_view message) {
  write_all(kind);
  for (size_t end; (end = message.find_first_of("\n\r")) != std::string_view::npos;
       message.remove_prefix(end + 1)) {
    write_all(message.substr(0, end));
    write_all(" ");
  }
  write_all(message);
  write_all("\n");
}

}  // namespace

void say_error(std::string_view message) {
  say("reprise: error: ", message);
}
void say_warning(std::string_view message) {
  say("reprise: warning: ", message);
}

}  // namespace reprise::cli
