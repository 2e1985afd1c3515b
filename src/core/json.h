// JSON for configurations, requests and reports. Reading is safe on text from outside: size, nesting and keys
// of an object are limited, and time and memory are linear in the text. Errors name the document. Any thread.
// Large documents whose form is fixed (vocabulary and merges of tokenizer.json, headers of safetensors files)
// are read with simdjson where they are used.
//
// Looking a key up in a `Json` object compares it with the keys one by one: a fixed number of look-ups is
// fine, one for every key of an object from outside is quadratic. Go through items() instead, or use a
// SeededMap (core/seeded_hash.h).
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/json_fwd.h"

namespace reprise {

// Limits of a text. The defaults allow 1 GiB: for text from outside use the tighter constants below.
struct JsonLimits {
  int max_depth = 256;  // arrays and objects inside each other
  size_t max_keys_per_object = size_t{1} << 22;
  size_t max_bytes = size_t{1} << 30;
  // Accept what Python's json module writes and reads beyond the standard: NaN, Infinity, -Infinity, and
  // numbers above the range of a double, which become infinite. Otherwise both are errors.
  bool nonfinite = false;
  // Keep integers that fit neither int64_t nor uint64_t exactly (see big_integer_digits); otherwise they
  // become the nearest double.
  bool exact_integers = false;
  bool unique_keys = false;  // refuse an object that has a key twice
};
// One request or one line of a file of requests.
inline constexpr JsonLimits kRequestJson = {
    .max_keys_per_object = size_t{1} << 17, .max_bytes = size_t{16} << 20, .exact_integers = true};
// config.json, generation_config.json, tokenizer_config.json.
inline constexpr JsonLimits kCheckpointJson = {
    .max_keys_per_object = size_t{1} << 20, .max_bytes = size_t{64} << 20, .nonfinite = true};

// Parses `text` (UTF-8; a byte order mark is skipped); `what` names it in errors ("config.json of
// /models/x"). For a repeated key the last value is kept, at the place of the first. Throws Error, with line
// and column, on text that is not JSON, on invalid UTF-8, on anything after the value and on what is above
// `limits`.
Json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits = {});

// Decimal digits, with '-' when negative, of an integer that `exact_integers` kept; nullopt for every other
// value; valid as long as `value`. Such a value is stored as nlohmann's type "binary": is_number() is false,
// so readers that want a number refuse it.
std::optional<std::string_view> big_integer_digits(const Json& value);

// The whole file as bytes. Throws Error when it can't be read, is not a regular file or is larger than
// `max_bytes` (checked before anything is read).
std::string read_file(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 30);

// A JSON file of a checkpoint, read with the limits of kCheckpointJson. Throws Error as the functions above
// do, and when it is plainly something else (core/file_kind.h).
Json read_json_file(const std::filesystem::path& path);

// Text of `value` in which invalid UTF-8 becomes U+FFFD instead of an exception: for anything that users
// wrote. NaN and infinities become null. `indent`: blanks for each level; -1 writes one line. Integers beyond
// 64 bits are written exactly; a value that holds one is written on one line whatever `indent` says.
std::string to_json_text(const Json& value, int indent = -1);
// For messages: at most 60 bytes (whole characters) and then "..."; of a large list or object how many
// entries it has.
std::string short_json_text(const Json& value);

}  // namespace reprise
