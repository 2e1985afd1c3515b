#include "tokenizer/jinja/json_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "core/json.h"
#include "tokenizer/jinja/compare.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/jinja/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style), out_(runtime) {}

  MarkedText run(const Value& value) {
    write(value, 0);
    return out_.take();
  }

 private:
  void write(const Value& value, int level) {
    runtime_.step();
    switch (value.kind()) {
      case Kind::kNone:
        return out_.append("null");
      case Kind::kBool:
        return out_.append(value.as_bool() ? "true" : "false");
      case Kind::kInt:
        return out_.append(std::to_string(value.as_int()));
      case Kind::kBigInt:
        return out_.append(value.text());
      case Kind::kFloat:
        return out_.append(number_text(value.as_double()));
      case Kind::kString:
        return write_string(value.marked());
      case Kind::kList:
      case Kind::kTuple:
        return write_items("[]", value.items().size(), level,
                           [&](size_t i) { write(value.items()[i], level + 1); });
      case Kind::kDict:
        return write_dict(value.dict(), level);
      default:
        runtime_.fail("Object of type {} is not JSON serializable", type_name(value));
    }
  }

  static std::string number_text(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
    return float_repr(number);
  }

  void break_line(int level) {
    if (!style_.indent) return;
    out_.append('\n');
    for (int i = 0; i < level; ++i) out_.append(style_.indent->view());
  }

  // What stands between brackets: `write_item` writes number i.
  template <typename WriteItem>
  void write_items(std::string_view brackets, size_t count, int level, WriteItem write_item) {
    if (count == 0) return out_.append(brackets);
    out_.append(brackets[0]);
    for (size_t i = 0; i < count; ++i) {
      if (i > 0) out_.append(style_.item_separator.view());
      break_line(level + 1);
      write_item(i);
    }
    break_line(level);
    out_.append(brackets[1]);
  }

  void write_dict(const DictObject& dict, int level) {
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys)
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return order(runtime_, a->first, b->first, "<") == Order::kLess;
      });
    write_items("{}", entries.size(), level, [&](size_t i) {
      write_key(entries[i]->first);
      out_.append(style_.key_separator.view());
      write(entries[i]->second, level + 1);
    });
  }

  // Keys that are no strings become some.
  void write_key(const Value& key) {
    if (key.is_string()) return write_string(key.marked());
    if (!key.is(Kind::kNone) && !key.is(Kind::kBigInt) && !key.is_number())
      runtime_.fail("keys must be str, int, float, bool or None, not {}", type_name(key));
    out_.append('"');
    write(key, 0);
    out_.append('"');
  }

  void write_string(MarkedView marked) {
    std::string_view text = marked.text();
    runtime_.step_bytes(text.size());
    out_.append('"');
    size_t plain = 0;
    for (size_t i = 0; i < text.size();) {
      size_t begin = i;
      char32_t point = static_cast<unsigned char>(text[i]) < 0x80 ? static_cast<char32_t>(text[i++])
                                                                  : decode_point(text, i);
      if (point >= ' ' && point != '"' && point != '\\' && (point < 0x7F || !style_.ensure_ascii)) continue;
      out_.append(marked.substr(plain, begin - plain));
      plain = i;
      out_.append_as(escape(point), marked.marked_at(begin));
    }
    out_.append(marked.substr(plain));
    out_.append('"');
  }

  static std::string escape(char32_t point) {
    constexpr std::string_view kShort = "\"\"\\\\\nn\rr\tt\ff\bb";  // character, letter
    for (size_t i = 0; i < kShort.size(); i += 2)
      if (point == static_cast<char32_t>(kShort[i])) return {'\\', kShort[i + 1]};
    if (point < 0x10000) return fmt::format("\\u{:04x}", static_cast<uint32_t>(point));
    uint32_t offset = static_cast<uint32_t>(point) - 0x10000;
    return fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF));
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  TextBuilder out_;
};

Value text_value(Runtime& runtime, const std::string& text, bool untrusted) {
  if (!is_valid_utf8(text)) runtime.fail("the context holds text that is not valid UTF-8");
  MarkedText marked{text};
  if (untrusted) marked.mark_all();
  return runtime.string(std::move(marked));
}

// Whose text is the template's own business: what the model itself said, and who sets it up.
bool trusted_role(const std::string& role) {
  return role == "assistant" || role == "system" || role == "developer";
}
// Names that an untrusted message may carry as its role without a mark: they are the template's own words.
bool known_role(const std::string& role) {
  return role == "user" || role == "tool" || role == "function" || role == "ipython" || role == "observation";
}

Value message_from_json(Runtime& runtime, const Json& json) {
  if (!json.is_object()) return value_from_json(runtime, json, true);
  auto it = json.find("role");
  std::string role = it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  if (trusted_role(role)) return value_from_json(runtime, json);
  DictBuilder dict(runtime);
  for (const auto& [key, item] : json.items())
    dict.set(text_value(runtime, key, true),
             value_from_json(runtime, item, key != "role" || !known_role(role)));
  return dict.build();
}

}  // namespace

Value messages_from_json(Runtime& runtime, const Json& json) {
  if (!json.is_array()) return value_from_json(runtime, json, true);
  std::vector<Value> messages;
  messages.reserve(json.size());
  for (const Json& message : json) messages.push_back(message_from_json(runtime, message));
  return runtime.list(std::move(messages));
}

Value value_from_json(Runtime& runtime, const Json& json, bool untrusted) {
  Runtime::Depth depth(runtime);
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      uint64_t number = json.get<uint64_t>();
      if (number > INT64_MAX) return runtime.big_integer(std::to_string(number));
      return Value::integer(static_cast<int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value::real(json.get<double>());
    case Json::value_t::string:
      return text_value(runtime, json.get_ref<const std::string&>(), untrusted);
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(value_from_json(runtime, item, untrusted));
      return runtime.list(std::move(items));
    }
    case Json::value_t::object: {
      DictBuilder dict(runtime);
      for (const auto& [key, item] : json.items())
        dict.set(text_value(runtime, key, untrusted), value_from_json(runtime, item, untrusted));
      return dict.build();
    }
    case Json::value_t::binary:
      if (auto digits = big_integer_digits(json)) return runtime.big_integer(std::string(*digits));
      return Value::none();
    default:
      return Value::none();
  }
}

MarkedText to_json_text(Runtime& runtime, const Value& value, const JsonStyle& style) {
  return JsonWriter(runtime, style).run(value);
}

}  // namespace reprise::tokenizer::jinja
