#include "core/error.h"

namespace reprise {

void throw_check_failed(const char* file, int line, const char* condition, const std::string& message) {
  throw InternalError(
      fmt::format("internal error at {}:{}: {} ({}); please report it", file, line, message, condition));
}

}  // namespace reprise
