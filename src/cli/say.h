// What is said to people on standard error, where nothing can be done about a failure to write.
#pragma once

#include <string_view>

namespace reprise::cli {

// "reprise: error: MESSAGE" as one line, whatever the message holds. Allocates no memory, which may be what
// is missing.
void say_error(std::string_view message);
// "reprise: warning: MESSAGE", the same.
void say_warning(std::string_view message);

}  // namespace reprise::cli
