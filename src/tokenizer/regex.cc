#define PCRE2_CODE_UNIT_WIDTH 8
#include "tokenizer/regex.h"

#include <pcre2.h>

#include <algorithm>
#include <new>

#include "core/error.h"

namespace reprise::tokenizer {
namespace {

// Backtracking steps that a match may take at each place where it could start; real patterns take a handful.
// A match that needs more is tried again, at one place, with twice the steps each time.
constexpr uint32_t kFirstSteps = 1000;
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

Span match_of(pcre2_match_data* data) {
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data);
  return {ends[0], ends[1]};
}

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
  has_jit_ = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;  // else the interpreter serves
}

namespace {

MatchScratch& match_scratch() {
  thread_local MatchScratch scratch;
  return scratch;
}

}  // namespace

int Regex::match(std::string_view text, size_t from, uint32_t options, uint32_t steps, Span& found) const {
  const MatchScratch& scratch = match_scratch();
  pcre2_set_match_limit(scratch.context, steps);
  if (has_jit_ && options == 0) {  // the JIT knows no PCRE2_ANCHORED
    const int result = pcre2_jit_match(as_code(code_.get()), reinterpret_cast<PCRE2_SPTR>(text.data()),
                                       text.size(), from, 0, scratch.data, scratch.context);
    if (result >= 0) found = match_of(scratch.data);
    if (result != PCRE2_ERROR_JIT_STACKLIMIT) return result;
  }
  return interpret(text, from, options, found);
}

int Regex::interpret(std::string_view text, size_t from, uint32_t options, Span& found) const {
  // The interpreter has the heap, up to its own limit; what it took stays with its match data.
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
      pcre2_match_data_create(1, nullptr), pcre2_match_data_free);
  if (data == nullptr) throw std::bad_alloc();
  const int result =
      pcre2_match(as_code(code_.get()), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                  options | PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data.get(), match_scratch().context);
  if (result >= 0) found = match_of(data.get());
  return result;
}

std::optional<Span> Regex::find(std::string_view text, size_t from, RegexBudget& budget) const {
  Span match_at{0, 0};
  int found = match(text, from, 0, kFirstSteps, match_at);
  for (size_t at = from; found == PCRE2_ERROR_MATCHLIMIT; ++at) {
    // Some place at or behind `at` needs more. Look at this one alone, then from the next one on.
    uint64_t steps = kFirstSteps;
    do {
      steps *= 2;
      if (steps > budget.steps) {
        throw Error("[{}] the regular expression backtracks too much on a text of {} bytes", what_,
                    text.size());
      }
      budget.steps -= steps;
      found = match(text, at, PCRE2_ANCHORED, static_cast<uint32_t>(std::min<uint64_t>(steps, UINT32_MAX)),
                    match_at);
    } while (found == PCRE2_ERROR_MATCHLIMIT);
    if (found != PCRE2_ERROR_NOMATCH) break;
    while (at + 1 < text.size() && (static_cast<unsigned char>(text[at + 1]) & 0xC0) == 0x80) ++at;
    if (at + 1 > text.size()) break;
    found = match(text, at + 1, 0, kFirstSteps, match_at);
  }
  if (found == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (found < 0) {
    throw Error("[{}] the regular expression gave up on a text of {} bytes: {}", what_, text.size(),
                error_text(found));
  }
  if (match_at.begin > match_at.end || match_at.begin < from ||
      match_at.end > text.size()) {  // \K can do this
    throw Error("[{}] the regular expression matched backwards", what_);
  }
  return match_at;
}

}  // namespace reprise::tokenizer
