// What Reprise throws: what() for people, a code for programs.
//
//   try { ... } catch (const reprise::Exception& error) { if (error.code() == reprise::ErrorCode::queue_full) ... }
//
// Besides these, std::bad_alloc, and other exceptions derived from std::exception, which are faults of Reprise.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace reprise {

enum class ErrorCode : uint8_t {
  invalid,           // an option, a file, a field or a text can't be used as it is
  does_not_fit,      // the memory doesn't hold the model with these options; what() says which would fit
  context_too_long,  // a prompt has more tokens than fit with what is to be generated
  queue_full,        // as many requests are open as are allowed; the same may be sent again later
  closed,            // the model is shutting down or has stopped
};

class Exception : public std::runtime_error {
 public:
  Exception(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace reprise
