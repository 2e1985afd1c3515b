#include "tokenizer/template/json_text.h"

#include <algorithm>
#include <cmath>

#include "tokenizer/template/compare.h"
#include "tokenizer/template/text.h"
#include "tokenizer/template/unicode.h"

namespace reprise::tokenizer::jinja {
namespace {

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style) : runtime_(runtime), style_(style), out_(runtime) {}

  std::string run(const Value& value) {
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
      case Kind::kFloat:
        return out_.append(number_text(value.as_double()));
      case Kind::kString:
        return write_string(value.text());
      case Kind::kList:
      case Kind::kTuple:
        return write_list(value.items(), level);
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
    for (int i = 0; i < level; ++i) out_.append(*style_.indent);
  }

  void write_list(const std::vector<Value>& items, int level) {
    if (items.empty()) return out_.append("[]");
    out_.append('[');
    bool first = true;
    for (const Value& item : items) {
      if (!first) out_.append(style_.item_separator);
      first = false;
      break_line(level + 1);
      write(item, level + 1);
    }
    break_line(level);
    out_.append(']');
  }

  void write_dict(const DictObject& dict, int level) {
    if (dict.entries.empty()) return out_.append("{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys)
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return order(runtime_, a->first, b->first, "<") == Order::kLess;
      });
    out_.append('{');
    bool first = true;
    for (const auto* entry : entries) {
      if (!first) out_.append(style_.item_separator);
      first = false;
      break_line(level + 1);
      write_string(key_text(entry->first));
      out_.append(style_.key_separator);
      write(entry->second, level + 1);
    }
    break_line(level);
    out_.append('}');
  }

  std::string key_text(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
        return key.text();
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.as_bool() ? "true" : "false";
      case Kind::kInt:
        return std::to_string(key.as_int());
      case Kind::kFloat:
        return number_text(key.as_double());
      default:
        runtime_.fail("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
  }

  void write_string(const std::string& text) {
    out_.append('"');
    size_t plain = 0;
    for (size_t i = 0; i < text.size();) {
      size_t begin = i;
      char32_t point = static_cast<unsigned char>(text[i]) < 0x80 ? static_cast<char32_t>(text[i++])
                                                                  : decode_point(text, i);
      if (point >= ' ' && point != '"' && point != '\\' && (point < 0x80 || !style_.ensure_ascii)) continue;
      out_.append(std::string_view(text).substr(plain, begin - plain));
      plain = i;
      write_escape(point);
    }
    out_.append(std::string_view(text).substr(plain));
    out_.append('"');
  }

  void write_escape(char32_t point) {
    switch (point) {
      case '"':
        return out_.append("\\\"");
      case '\\':
        return out_.append("\\\\");
      case '\n':
        return out_.append("\\n");
      case '\r':
        return out_.append("\\r");
      case '\t':
        return out_.append("\\t");
      case '\f':
        return out_.append("\\f");
      case '\b':
        return out_.append("\\b");
      default:
        break;
    }
    if (point >= 0x10000) {
      uint32_t offset = static_cast<uint32_t>(point) - 0x10000;
      out_.append(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (offset >> 10), 0xDC00 + (offset & 0x3FF)));
    } else {
      out_.append(fmt::format("\\u{:04x}", static_cast<uint32_t>(point)));
    }
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  TextBuilder out_;
};

}  // namespace

Value value_from_json(Runtime& runtime, const Json& json) {
  Runtime::Depth depth(runtime);
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::boolean(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::integer(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      uint64_t number = json.get<uint64_t>();
      if (number > INT64_MAX) runtime.fail("the integer {} in the context does not fit 64 bits", number);
      return Value::integer(static_cast<int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value::real(json.get<double>());
    case Json::value_t::string: {
      const std::string& text = json.get_ref<const std::string&>();
      if (!valid_utf8(text)) runtime.fail("the context holds text that is not valid UTF-8");
      return runtime.string(text);
    }
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(value_from_json(runtime, item));
      return runtime.list(std::move(items));
    }
    case Json::value_t::object: {
      DictBuilder dict(runtime);
      for (const auto& [key, item] : json.items()) {
        if (!valid_utf8(key)) runtime.fail("the context holds text that is not valid UTF-8");
        dict.set(key, value_from_json(runtime, item));
      }
      return dict.build();
    }
    default:
      return Value::none();
  }
}

std::string to_json_text(Runtime& runtime, const Value& value, const JsonStyle& style) {
  return JsonWriter(runtime, style).run(value);
}

}  // namespace reprise::tokenizer::jinja
