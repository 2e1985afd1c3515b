// Generated functions as gdb sees them, by its interface for code that programs make themselves: backtraces name them, and
// breakpoints can be set at them (`set breakpoint pending on` before they are there).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace reprise::codegen {

struct DebuggerFunction {
  std::string name;  // as gdb shows it
  const std::byte* code = nullptr;
  size_t bytes = 0;  // 0: unknown
};

// For as long as this lives, which is not longer than the code. Any thread.
class DebuggerEntry {
 public:
  explicit DebuggerEntry(std::span<const DebuggerFunction> functions);  // one at least
  ~DebuggerEntry();
  DebuggerEntry(const DebuggerEntry&) = delete;
  DebuggerEntry& operator=(const DebuggerEntry&) = delete;

 private:
  struct Entry;
  std::unique_ptr<Entry> entry_;
};

}  // namespace reprise::codegen
