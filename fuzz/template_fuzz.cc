// Any bytes as a chat template: parsed and rendered over a conversation that has every kind of value. Errors
// are fine; crashes, leaks and runs that pass the limits are not.
#include <string_view>

#include "core/error.h"
#include "tokenizer/template/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  static const Json context = Json::parse(R"({
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "é😀"}]},
                 {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "documents": null,
    "add_generation_prompt": true, "bos_token": "<s>", "s": "Hello, World", "n": 7, "f": -2.5, "xs": [3, 1, 2],
    "d": {"b": 1, "a": [2]}})");
  tokenizer::TemplateLimits limits;
  limits.max_steps = 100'000;
  limits.max_memory_bytes = 16 << 20;
  limits.max_output_bytes = 1 << 20;
  try {
    tokenizer::ChatTemplate::parse({reinterpret_cast<const char*>(data), size}, limits).render(context);
  } catch (const Error&) {
  }
  return 0;
}
