// Runs random matmul groups (random_group.h) the way workers do, against the ops one by one.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/launch.h"
#include "tests/codegen/random_group.h"
#include "tests/loop/run_program.h"

namespace reprise::codegen {

// The inputs and outputs of a group with guard bytes around each: inputs of random numbers, now and then special ones
// where asked for, and outputs of a pattern.
class GroupBuffers {
 public:
  GroupBuffers(const RandomGroup& of, loop::Choices& choices, bool special);
  GroupBuffers(const GroupBuffers& other);
  GroupBuffers& operator=(const GroupBuffers&) = delete;

  std::span<std::byte* const> pointers() const { return pointers_; }
  // "", or what is not the same here and there, or was written to and should not have been.
  std::string difference(const GroupBuffers& expected) const;

 private:
  void point();
  const RandomGroup& of_;
  std::vector<std::vector<std::byte>> bytes_;
  std::vector<std::byte*> pointers_;
};

// "", or what is different from the ops one by one: at `level`, for a team of some size, cut at random places. The parts
// run `generated`, or where that is null or by chance the interpreter.
std::string difference_of_matmul(const RandomGroup& group, KernelFunction generated, Isa level,
                                 loop::Choices& choices, loop::Scratch& scratch, bool special);

}  // namespace reprise::codegen
