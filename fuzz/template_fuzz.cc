// Any bytes as a chat template: parsed and rendered over a conversation that has every kind of value. Errors
// are fine; crashes, leaks and runs that pass the limits are not. Of what the user wrote, the private-use
// characters U+E000 and U+E001 come from nowhere else: each that reaches the output must be marked there.
#include <string_view>

#include "core/error.h"
#include "core/json.h"
#include "tokenizer/jinja/chat_template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  static const Json context = Json::parse(R"({
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "é\uE000 😀\uE001"}]},
                 {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1.5}}}]}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}], "documents": null,
    "add_generation_prompt": true, "bos_token": "<s>", "s": "Hello, World", "n": 7, "f": -2.5, "xs": [3, 1, 2],
    "d": {"b": 1, "a": [2]}})");
  tokenizer::TemplateLimits limits;
  limits.max_steps = 100'000;
  limits.max_memory_bytes = 16 << 20;
  limits.max_output_bytes = 1 << 20;
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    tokenizer::RenderedChat chat = tokenizer::ChatTemplate::parse(source, limits).render_chat(context);
    for (std::string_view maker : {"\\", "\xEE\x80"})  // sources that could write such characters themselves
      if (source.find(maker) != source.npos) return 0;
    size_t end = 0;
    for (size_t i = 0; i <= chat.untrusted.size(); ++i) {
      size_t next = i < chat.untrusted.size() ? chat.untrusted[i].begin : chat.text.size();
      if (next < end || next > chat.text.size()) __builtin_trap();
      if (std::string_view(chat.text).substr(end, next - end).find("\xEE\x80") != std::string::npos)
        __builtin_trap();
      if (i < chat.untrusted.size()) end = chat.untrusted[i].end;
    }
  } catch (const Error&) {
  }
  return 0;
}
