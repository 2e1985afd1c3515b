// Chat templates: Jinja2 in a sandbox, set up as Hugging Face transformers sets it up
// (ImmutableSandboxedEnvironment with trim_blocks, lstrip_blocks, loop controls, the generation tag, its own
// tojson, raise_exception, strftime_now). Output is byte for byte that of Python's jinja2 3.1;
// tools/oracle/template_oracle.py compares.
//
// Supported: what chat templates use, of which docs/chat-templates.md has the list. Differences, all of them
// errors here that name what is missing: arithmetic beyond 64 bits, complex numbers, bytes, lone surrogates;
// tags that read other files; filters, tests, methods and formats that are not in the list. `safe` gives its
// text unchanged, where jinja2 then escapes the text that + and % join to it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json_fwd.h"
#include "tokenizer/text_span.h"

namespace reprise::tokenizer {

namespace jinja {
struct TemplateTree;
}

// `untrusted`: byte ranges of `text`, sorted, not empty, not overlapping or touching.
struct RenderedChat {
  std::string text;
  std::vector<TextSpan> untrusted;
};

// What one render may use. A template that passes a limit fails with a message that names the limit.
struct TemplateLimits {
  size_t max_source_bytes = size_t{1} << 20;
  int max_nesting = 200;                        // of expressions in the source
  uint64_t max_steps = 10'000'000;              // operations, items, and 64 bytes of text each
  double max_cpu_seconds = 0.5;                 // of the rendering thread; looked at about every millisecond
  size_t max_output_bytes = size_t{64} << 20;   // the text and everything captured on the way
  size_t max_memory_bytes = size_t{256} << 20;  // live values, the caller's context not counted
  int max_depth = 1000;                         // recursion of macros, loops and expressions, together
};

// Immutable after parse(): any number of threads may render one object at once.
class ChatTemplate {
 public:
  // Throws Error "[chat template] line N: ..." on text that is not a template.
  static ChatTemplate parse(std::string_view source, const TemplateLimits& limits = {});

  // `context` is an object; its members are the variables: messages, tools, documents, add_generation_prompt,
  // bos_token and so on. The environment variable REPRISE_NOW=2026-01-02T03:04:05 fixes strftime_now's clock.
  // Throws Error where jinja2 raises, and when a limit is passed.
  std::string render(const Json& context) const;

  // The same text, with the ranges of it that people and tools wrote: all text in `documents` and in those
  // messages whose role is not assistant, system or developer. A character that an operation of the template
  // makes from such text counts as such (upper case, JSON escapes); what the template's own literals wrote
  // does not. Once
  // `*cancel` is true, rendering stops with an Error; null: never.
  RenderedChat render_chat(const Json& context, const std::atomic<bool>* cancel = nullptr) const;

 private:
  explicit ChatTemplate(std::shared_ptr<const jinja::TemplateTree> tree, const TemplateLimits& limits)
      : tree_(std::move(tree)), limits_(limits) {}

  std::shared_ptr<const jinja::TemplateTree> tree_;
  TemplateLimits limits_;
};

}  // namespace reprise::tokenizer
