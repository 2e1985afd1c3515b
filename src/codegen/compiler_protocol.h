// What the engine and the compiler process say to each other, over one stream socket that is the child's
// standard input. Header only: the child links little of the engine.
//
// Both sides send frames: a FrameHeader, then `bytes` of payload. The engine asks, the child answers each
// question with the same number, in order. Numbers are in the machine's own byte order, since both run on it.
//   hello: payload empty; the answer is "PROTOCOL\nBUILD ID\nNAME", as of hello_text() compile: payload =
//   CompileHeader, level, options, program; the answer is machine code or text
#pragma once

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "codegen/build_id.h"
#include "core/fault.h"

namespace reprise::codegen {

inline constexpr uint32_t kFrameMagic = 0x31435052;  // "RPC1"
inline constexpr int kProtocol = 1;
inline constexpr size_t kMostRequestBytes = size_t{16} << 20;
inline constexpr size_t kMostAnswerBytes = size_t{64} << 20;

enum class FrameKind : uint32_t {
  hello,
  compile,
  done,    // an answer: the payload is what was asked for
  failed,  // an answer: the payload is an error text, and the child takes the next question
  ending,  // as failed, but the child ends now
};

enum class Output : uint32_t {
  object,     // a relocatable object, for ObjectCode
  llvm_text,  // the LLVM IR that machine code is made of
  assembly,
};

struct FrameHeader {
  uint32_t magic = kFrameMagic;
  FrameKind kind = FrameKind::hello;
  uint32_t number = 0;  // of the question
  uint32_t bytes = 0;
};

struct CompileHeader {
  Output output = Output::object;
  uint32_t deadline_ms = 0;  // the child ends itself some time after, in case nobody is left who would end it
  uint32_t level_bytes = 0;
  uint32_t options_bytes = 0;
  uint32_t program_bytes = 0;
};

inline std::string hello_text(std::string_view name) {
  return std::to_string(kProtocol) + "\n" + std::string(build_id()) + "\n" + std::string(name);
}

// A seeded fault of the emitter that a test has switched on in the engine goes along at the end of the options,
// and so into the keys of caches: " fault NUMBER SITE".
struct SentFault {
  Fault what = Fault::none;
  int64_t site = 0;
};
inline std::string with_fault(std::string_view options) {
  const Fault active = fault_state::active.load(std::memory_order_relaxed);
  if (!is_of_emitter(active)) return std::string(options);
  return std::string(options) + " fault " + std::to_string(static_cast<int>(active)) + " " +
         std::to_string(fault_state::site.load(std::memory_order_relaxed));
}
// Takes it off again.
inline SentFault take_fault(std::string_view& options) {
  constexpr std::string_view kWord = " fault ";
  const size_t at = options.find(kWord);
  if (at == std::string_view::npos) return {};
  SentFault fault;
  int number = 0;
  const char* const end = options.data() + options.size();
  const auto parsed = std::from_chars(options.data() + at + kWord.size(), end, number);
  if (parsed.ptr < end) std::from_chars(parsed.ptr + 1, end, fault.site);
  fault.what = static_cast<Fault>(number);
  options = options.substr(0, at);
  return fault;
}

}  // namespace reprise::codegen
