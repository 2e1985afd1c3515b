// What a kernel's variants took beside the ops of its group one by one (codegen/trial.h). The text stands with the code
// in cache entries and artefacts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::codegen {

struct Verdict {
  // A group stays in parts unless its kernel takes at most this part of their time: less can't be told from noise.
  static constexpr double kMostOfParts = 0.97;

  struct Timing {
    std::string name;        // of a variant: options of the emitter, "chunks 4"
    std::vector<double> us;  // of one run, by `tokens`; above 0, with 4 decimals
    bool operator==(const Timing&) const = default;
  };
  std::vector<int64_t> tokens;   // of the steps that were timed, ascending
  std::vector<Timing> variants;  // one or more
  Timing parts;                  // its name is "parts"

  // The variant with the least geometric mean.
  const Timing& best() const;
  // Geometric mean of its time in times of the parts.
  double of_parts() const;
  bool stays_in_parts() const { return of_parts() > kMostOfParts; }
  // "chunks 4 takes 0.61 of the time of its parts".
  std::string summary() const;
  // Of the same two: "0.0200 us beside 0.0400 at T 1, 6.0000 us beside 12.0000 at T 16".
  std::string times() const;

  bool operator==(const Verdict&) const = default;
};

// A line for each variant and one for the parts: "chunks 4: T 1 0.0410 us, T 16 5.2000 us, T 512 170.0000 us".
std::string print(const Verdict& verdict);
// Throws Error, the end of a sentence that begins with the file's name, on all that print() does not write.
Verdict parse_verdict(std::string_view text);

}  // namespace reprise::codegen
