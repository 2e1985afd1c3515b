// Errors of two kinds. `Error`: bad input, flag or file; its message says what, where and the fix, and the
// caller may go on; it has a code where its catcher does something else than to tell. `REPRISE_CHECK`: a broken invariant of our own; it throws `InternalError`, which nobody
// expects.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "reprise/error.h"

namespace reprise {

class Error : public Exception {
 public:
  explicit Error(const std::string& message) : Exception(ErrorCode::invalid, message) {}
  template <typename... Args>
  explicit Error(fmt::format_string<Args...> format, Args&&... args) requires(sizeof...(Args) > 0)
      : Exception(ErrorCode::invalid, fmt::format(format, std::forward<Args>(args)...)) {}
  template <typename... Args>
  explicit Error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args)
      : Exception(code, fmt::format(format, std::forward<Args>(args)...)) {}
};

class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void throw_check_failed(const char* file, int line, const char* condition,
                                     const std::string& message);

}  // namespace reprise

// REPRISE_CHECK(rows == tokens, "embedding got {} rows for {} tokens", rows, tokens)
#define REPRISE_CHECK(condition, ...)                                                          \
  do {                                                                                         \
    if (!(condition)) [[unlikely]]                                                             \
      ::reprise::throw_check_failed(__FILE__, __LINE__, #condition, fmt::format(__VA_ARGS__)); \
  } while (false)
