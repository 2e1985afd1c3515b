// Limits for every configuration, whichever file it came from. They keep products of sizes far below 2^63, so
// that a hostile config is refused here instead of overflowing later.
#pragma once

#include <cstdint>
#include <string_view>

#include "weights/model_config.h"

namespace reprise::weights {

inline constexpr int64_t kMaxVocab = int64_t{1} << 26;
inline constexpr int64_t kMaxHidden = int64_t{1} << 20;
inline constexpr int64_t kMaxIntermediate = int64_t{1} << 22;
inline constexpr int64_t kMaxLayers = int64_t{1} << 14;
inline constexpr int64_t kMaxHeads = int64_t{1} << 16;
inline constexpr int64_t kMaxHeadDim = int64_t{1} << 14;
inline constexpr int64_t kMaxPositions = int64_t{1} << 30;

// Relations between fields. Throws Error, naming `what`.
void check_config(const ModelConfig& config, std::string_view what);
void check_rope(const RopeConfig& rope, std::string_view what);

}  // namespace reprise::weights
