#include "tokenizer/jinja/globals.h"

#include <ctime>

#include <cstdio>
#include <cstdlib>

#include "tokenizer/jinja/attributes.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer::jinja {
namespace {

constexpr int64_t kMaxRange = 100000;  // the sandbox's MAX_RANGE

Value make_range(Runtime& runtime, const Value&, Arguments& arguments) {
  Bound bound(runtime, "range", arguments, {"/start", "/stop", "/step"}, 1);
  int64_t start = bound.has(1) ? bound.integer(0, 0) : 0;
  int64_t stop = bound.has(1) ? bound.integer(1, 0) : bound.integer(0, 0);
  int64_t step = bound.integer(2, 1);
  if (step == 0) runtime.fail("range() arg 3 must not be zero");
  Value range = runtime.range(start, stop, step);
  if (range.range().length > kMaxRange)
    runtime.fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange);
  return range;
}

// dict(mapping or pairs, **names)
Value make_dict(Runtime& runtime, const Value&, Arguments& arguments) {
  if (arguments.positional.size() > 1)
    runtime.fail("dict expected at most 1 argument, got {}", arguments.positional.size());
  DictBuilder dict(runtime);
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is(Kind::kDict)) {
      for (const auto& [key, value] : source.dict().entries) dict.set(key, value);
    } else {
      Cursor cursor(runtime, source);
      size_t position = 0;
      for (Value pair; cursor.next(pair); ++position) {
        std::vector<Value> fields = to_vector(runtime, pair);
        if (fields.size() != 2)
          runtime.fail("dictionary update sequence element #{} has length {}; 2 is required", position,
                       fields.size());
        dict.set(fields[0], fields[1]);
      }
    }
  }
  for (const auto& [name, value] : arguments.named) dict.set(name.view(), value);
  return dict.build();
}

Value make_namespace(Runtime& runtime, const Value&, Arguments& arguments) {
  Value attributes = make_dict(runtime, Value(), arguments);
  Value result = runtime.host<Namespace>(1);
  Namespace& space = *result.host_as<Namespace>();
  // Namespaces can hold each other in a circle: the render keeps them and empties them at its end.
  runtime.keep(result.share(), [&space] { space.clear(); });
  for (const auto& [key, value] : attributes.dict().entries)
    space.set(runtime, to_str(runtime, key).marked(), value);
  return result;
}

Value raise_exception(Runtime& runtime, const Value&, Arguments& arguments) {
  Bound bound(runtime, "raise_exception", arguments, {"message"}, 1);
  runtime.fail("{}", to_str(runtime, bound[0]).text());
}

// REPRISE_NOW=2026-01-02T03:04:05 fixes the clock; otherwise local time.
std::tm now(Runtime& runtime) {
  std::tm time{};
  if (const char* fixed = std::getenv("REPRISE_NOW")) {
    int end = 0;
    int fields = std::sscanf(fixed, "%4d-%2d-%2dT%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon, &time.tm_mday,
                             &time.tm_hour, &time.tm_min, &time.tm_sec, &end);
    bool valid = fields == 6 && fixed[end] == '\0' && time.tm_year >= 1900 && time.tm_mon >= 1 &&
                 time.tm_mon <= 12 && time.tm_mday >= 1 && time.tm_mday <= 31 && time.tm_hour < 24 &&
                 time.tm_min < 60 && time.tm_sec < 60;
    if (!valid) runtime.fail("REPRISE_NOW is \"{}\", expected the form 2026-01-02T03:04:05", fixed);
    time.tm_year -= 1900;
    time.tm_mon -= 1;
    timegm(&time);  // fills in the day of the week and of the year
    return time;
  }
  std::time_t seconds = std::time(nullptr);
  localtime_r(&seconds, &time);
  return time;
}

Value strftime_now(Runtime& runtime, const Value&, Arguments& arguments) {
  Bound bound(runtime, "strftime_now", arguments, {"format"}, 1);
  // A naive datetime has no zone, and microseconds are Python's own directive.
  constexpr size_t kMaxFormat = 4096;
  std::string format;
  const std::string& text = bound.text(0);
  if (text.size() > kMaxFormat)
    runtime.fail("strftime_now(): the format is longer than {} bytes", kMaxFormat);
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%' || i + 1 == text.size()) {
      format += text[i];
      continue;
    }
    char directive = text[++i];
    if (directive == 'f')
      format += "000000";
    else if (directive != 'z' && directive != 'Z')
      format += {'%', directive};
  }
  if (format.empty()) return runtime.string("");
  std::tm time = now(runtime);
  runtime.reserve(64 * format.size());
  std::string out(64 * format.size() + 64, '\0');
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &time));
  if (!is_valid_utf8(out)) runtime.fail("strftime_now() gave text that is not UTF-8");
  MarkedText marked(std::move(out));
  if (bound.marked(0).any_marked()) marked.mark_all();
  return runtime.string(std::move(marked));
}

}  // namespace

MarkedText Namespace::repr(Runtime& runtime) const {
  if (printing_) return MarkedText("<Namespace {...}>");
  printing_ = true;
  TextBuilder out(runtime);
  out.append("<Namespace ");
  append_pairs(out, entries_);
  printing_ = false;
  out.append('>');
  return out.take();
}

std::optional<Value> Namespace::attribute(Runtime& runtime, const Value&, std::string_view name) {
  runtime.step(entries_.size() / 8);
  for (const auto& [key, value] : entries_)
    if (key.text() == name) return value;
  return std::nullopt;
}

void Namespace::set(Runtime& runtime, MarkedView marked, const Value& value) {
  std::string_view name = marked.text();
  if (name.starts_with("_"))
    runtime.fail(
        "Chat templates cannot store underscore-prefixed attributes on a namespace, but got {}. Please "
        "rename the attribute.",
        quote(name));
  runtime.step(entries_.size() / 8);
  for (auto& [key, old] : entries_)
    if (key.text() == name) {
      old = value;
      return;
    }
  entries_.emplace_back(runtime.substring(marked), value);
}

void add_globals(Runtime& runtime, Variables& variables) {
  constexpr Method kFunctions[] = {{"range", make_range},
                                   {"dict", make_dict},
                                   {"namespace", make_namespace},
                                   {"raise_exception", raise_exception},
                                   {"strftime_now", strftime_now}};
  for (const Method& function : kFunctions)
    variables.try_emplace(std::string(function.name), bind(runtime, function, Value()));
}

}  // namespace reprise::tokenizer::jinja
