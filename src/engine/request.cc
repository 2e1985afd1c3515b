#include "engine/request.h"

namespace reprise::engine {

std::string_view name_of(FinishReason reason) {
  constexpr std::array<std::string_view, 5> names = {"", "stop", "length", "abort", "error"};
  return names[static_cast<size_t>(reason)];
}

std::string_view text_of(NotReplayed reason) {
  constexpr std::array<std::string_view, kNotReplayedReasons> texts = {"eager: use_cudagraph is off"};
  return texts[static_cast<size_t>(reason)];
}

}  // namespace reprise::engine
