// Turns the exception that is being handled into a message without ever throwing, memory that ran out
// included: for code that must report a failure and go on.
#pragma once

#include <string>
#include <string_view>

namespace reprise {

// Short enough for the storage inside of a std::string: assigning it never allocates.
inline constexpr std::string_view kShortNoMemory = "out of memory";

// "[where] what()" of the exception being handled; call it inside of a catch block. Where even the message
// does not fit into memory: kShortNoMemory.
std::string current_failure(std::string_view where) noexcept;

}  // namespace reprise
