// reprise-compiler: kernels by LLVM, for the engine that started it (codegen/compiler_protocol.h). Standard
// input is the socket to the engine; end of file ends the program. One question after the other, one thread.
#include <llvm/Support/ErrorHandling.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

#include "codegen/compiler_protocol.h"
#include "codegen/llvm/emit.h"
#include "codegen/llvm/machine_code.h"
#include "core/error.h"
#include "core/fault.h"

namespace reprise::codegen {
namespace {

uint32_t question_number = 0;  // that is being answered

// False: the engine is gone.
bool receive(char* to, size_t bytes) {
  while (bytes > 0) {
    const ssize_t got = recv(STDIN_FILENO, to, bytes, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    bytes -= static_cast<size_t>(got);
  }
  return true;
}

bool send_all(const char* from, size_t bytes) {
  while (bytes > 0) {
    const ssize_t put = send(STDIN_FILENO, from, bytes, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from += put;
    bytes -= static_cast<size_t>(put);
  }
  return true;
}

// Takes no memory: also called when there is none.
bool answer(FrameKind kind, std::string_view text) {
  const FrameHeader header = {
      .kind = kind, .number = question_number, .bytes = static_cast<uint32_t>(text.size())};
  return send_all(reinterpret_cast<const char*>(&header), sizeof(header)) &&
         send_all(text.data(), text.size());
}

// LLVM's way out where it can't go on, from the middle of its own code.
void give_up(void*, const char* reason, bool) {
  char text[512];
  std::snprintf(text, sizeof(text), "LLVM gave up: %s", reason);
  answer(FrameKind::ending, text);
  _exit(1);
}

void give_up_memory() {
  answer(FrameKind::ending, "out of memory");
  _exit(1);
}

// The same where LLVM asks for memory by itself.
void give_up_memory_of_llvm(void*, const char*, bool) {
  give_up_memory();
}

std::string compile(std::string_view payload) {
  CompileHeader header;
  if (payload.size() < sizeof(header)) throw Error("a request without its header");
  std::memcpy(&header, payload.data(), sizeof(header));
  payload.remove_prefix(sizeof(header));
  if (uint64_t{header.level_bytes} + header.options_bytes + header.program_bytes != payload.size())
    throw Error("a request whose lengths do not add up");
  const std::string_view level_name = payload.substr(0, header.level_bytes);
  std::string_view options = payload.substr(header.level_bytes, header.options_bytes);
  const std::string_view program = payload.substr(header.level_bytes + header.options_bytes);
  const std::optional<Isa> level = parse_isa(level_name);
  if (!level) throw Error("no level {}", level_name);
  if (header.output > Output::assembly) throw Error("no output {}", static_cast<uint32_t>(header.output));
  // The engine ends a child that takes too long, on a busy machine after ten times as long. Where it is gone itself, the
  // alarm does.
  alarm(header.deadline_ms / 100 + 5);
  const SentFault fault = take_fault(options);
  const FaultScope scope(fault.what, fault.site);
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = emit(program, {.level = *level, .text = options}, context);
  std::string code = machine_code(*module, *level, header.output);
  alarm(0);
  return code;
}

int serve() {
  std::string payload;
  for (FrameHeader header; receive(reinterpret_cast<char*>(&header), sizeof(header));) {
    if (header.magic != kFrameMagic || header.bytes > kMostRequestBytes) return 1;
    question_number = header.number;
    payload.resize(header.bytes);
    if (!receive(payload.data(), payload.size())) return 0;
    bool sent = false;
    if (header.kind == FrameKind::hello) {
      sent = answer(FrameKind::done, hello_text(llvm_name()));
    } else {
      try {
        const std::string code = compile(payload);
        sent = answer(FrameKind::done, code);
      } catch (const std::exception& error) {
        alarm(0);
        sent = answer(FrameKind::failed, error.what());
      }
    }
    if (!sent) return 0;
  }
  return 0;
}

}  // namespace
}  // namespace reprise::codegen

int main() {
  llvm::install_fatal_error_handler(reprise::codegen::give_up);
  llvm::install_bad_alloc_error_handler(reprise::codegen::give_up_memory_of_llvm);
  std::set_new_handler(reprise::codegen::give_up_memory);
  return reprise::codegen::serve();
}
