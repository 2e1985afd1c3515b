// JSON in and out of a render: the caller's context becomes values, and `tojson` writes what Python's
// json.dumps does.
#pragma once

#include "core/json_fwd.h"
#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

// Integers above 2^63 - 1 are kept as their digits. (Plain `from_json` is a name that nlohmann's
// overloads answer to as well, by argument-dependent lookup: with gcc 14 that doesn't compile.)
// With `untrusted`, all text below is marked, keys of objects included.
Value value_from_json(Runtime& runtime, const Json& json, bool untrusted = false);
// The variable `messages` or `documents`: marks what people and tools wrote. Messages of the roles assistant,
// system and developer are left as they are.
Value messages_from_json(Runtime& runtime, const Json& json);

struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<MarkedText> indent;  // absent: one line
  MarkedText item_separator{", "};
  MarkedText key_separator{": "};
};

// Fails on values that JSON has no form for ("Object of type Undefined is not JSON serializable").
MarkedText to_json_text(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace reprise::tokenizer::jinja
