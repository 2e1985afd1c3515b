#include "core/failure.h"

#include <fmt/format.h>

#include <exception>
#include <new>

namespace reprise {

std::string current_failure(std::string_view where) noexcept {
  try {
    try {
      throw;
    } catch (const std::bad_alloc&) {
      return fmt::format(
          "[{}] out of memory: the system refused an allocation; free memory, or lower "
          "--max-num-seqs or --max-model-len",
          where);
    } catch (const std::exception& error) {
      return fmt::format("[{}] {}", where, error.what());
    } catch (...) {
      return fmt::format("[{}] an exception that is no std::exception was thrown", where);
    }
  } catch (...) {
    return std::string(kShortNoMemory);
  }
}

}  // namespace reprise
