#include "engine/step/step_path.h"

#include <array>

namespace reprise::engine {

std::string_view name_of(RunMode mode) {
  constexpr std::array<std::string_view, 5> kNames = {"replay", "static", "compiled", "eager", "split"};
  return kNames[static_cast<size_t>(mode)];
}

}  // namespace reprise::engine
