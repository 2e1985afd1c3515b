// Random numbers that are the same on every machine and with every standard library, for loads that can be repeated.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>
#include <random>

namespace reprise::client {

class RandomNumbers {
 public:
  explicit RandomNumbers(uint64_t seed) : engine_(seed) {}
  // In (0, 1).
  double uniform() { return (static_cast<double>(engine_() >> 11) + 0.5) * 0x1p-53; }
  // 0 .. count - 1; count > 0.
  uint64_t below(uint64_t count) { return static_cast<uint64_t>(uniform() * static_cast<double>(count)); }
  // With mean 1: the time between arrivals of a Poisson process of rate 1.
  double exponential() { return -std::log(uniform()); }
  // Mean 0, variance 1, by Box and Muller.
  double normal() {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

 private:
  std::mt19937_64 engine_;  // its sequence is fixed by the C++ standard, those of the distributions are not
};

}  // namespace reprise::client
