#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include "core/error.h"

namespace reprise::tokenizer {
namespace {

// Backtracking steps of one match attempt (about a millisecond); real patterns take a handful.
constexpr uint32_t kMatchLimit = 100'000;
constexpr uint32_t kHeapLimitKiB = 16 * 1024;
constexpr size_t kMaxPatternBytes = 64 * 1024;
constexpr size_t kJitStackBytes = 512 * 1024;

pcre2_code* as_code(void* code) {
  return static_cast<pcre2_code*>(code);
}

// What a match writes to: one a thread, for all patterns.
struct MatchScratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 * 1024, kJitStackBytes, nullptr);

  MatchScratch() {
    REPRISE_CHECK(data != nullptr && context != nullptr, "PCRE2 got no memory for a match");
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_set_heap_limit(context, kHeapLimitKiB);
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchScratch() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    if (stack != nullptr) pcre2_jit_stack_free(stack);
  }
  MatchScratch(const MatchScratch&) = delete;
  MatchScratch& operator=(const MatchScratch&) = delete;
};

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

void Regex::Free::operator()(void* code) const {
  pcre2_code_free(as_code(code));
}

Regex::Regex(const std::string& pattern, std::string_view what) : what_(what) {
  if (pattern.size() > kMaxPatternBytes) {
    throw Error("[{}] the pattern has {} bytes, at most {} are accepted", what, pattern.size(),
                kMaxPatternBytes);
  }
  const std::string translated = translate_pattern(pattern, what);
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  REPRISE_CHECK(context != nullptr, "PCRE2 got no memory for a pattern");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                   options, &error, &offset, context.get());
  if (code == nullptr) {
    throw Error("[{}] the pattern \"{}\" is not a valid regular expression: {} (at byte {})", what,
                pattern.substr(0, 200), error_text(error), offset);
  }
  code_.reset(code);
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where it can't, the interpreter serves
}

std::optional<Span> Regex::find(std::string_view text, size_t from) const {
  thread_local MatchScratch scratch;
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  int found = pcre2_match(as_code(code_.get()), subject, text.size(), from, PCRE2_NO_UTF_CHECK, scratch.data,
                          scratch.context);
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter has the heap, up to its own limit
    found = pcre2_match(as_code(code_.get()), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        scratch.data, scratch.context);
  }
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) {
    throw Error("[{}] the regular expression gave up on a text of {} bytes: {}", what_, text.size(),
                error_text(found));
  }
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(scratch.data);
  if (ends[0] > ends[1] || ends[0] < from || ends[1] > text.size()) {  // \K can do this
    throw Error("[{}] the regular expression matched backwards", what_);
  }
  return Span{ends[0], ends[1]};
}

}  // namespace reprise::tokenizer
