// The launches of every op on the CPU, a list from each file of this folder.
#pragma once

#include <array>
#include <span>

#include "ops/launch_table.h"

namespace reprise::ops::cpu {

std::span<const LaunchEntry> attention_launches();
std::span<const LaunchEntry> elementwise_launches();
std::span<const LaunchEntry> embedding_launches();
std::span<const LaunchEntry> matmul_launches();
std::span<const LaunchEntry> norm_launches();
std::span<const LaunchEntry> rotary_launches();
std::span<const LaunchEntry> sampling_launches();

inline auto launches() {
  return std::array{attention_launches(), elementwise_launches(), embedding_launches(), matmul_launches(),
                    norm_launches(),      rotary_launches(),      sampling_launches()};
}

}  // namespace reprise::ops::cpu
