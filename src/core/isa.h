// Levels of the CPU's vector instructions that kernels are written for. Which of them this machine can and
// should use is decided in kernels/cpu/isa_select.h.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace reprise {

// Ascending: a machine that has a level has those below it.
enum class Isa : uint8_t { scalar, avx2, avx512, avx512_bf16, amx };

inline constexpr std::array kAllIsas = {Isa::scalar, Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx};

constexpr std::string_view name_of(Isa isa) {
  constexpr std::array<std::string_view, 5> names = {"scalar", "avx2", "avx512", "avx512_bf16", "amx"};
  return names[static_cast<size_t>(isa)];
}

constexpr std::optional<Isa> parse_isa(std::string_view name) {
  for (Isa isa : kAllIsas)
    if (name == name_of(isa)) return isa;
  return std::nullopt;
}

}  // namespace reprise
