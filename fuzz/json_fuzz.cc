// Any text as JSON: accepted exactly where nlohmann's parser accepts it, with the same value, and the text
// written from it reads back. With the extensions for checkpoints: an Error or a value.
#include <cstdint>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/json.h"
#include "fuzz/amplify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise;
  const std::string text = fuzz::amplified(data, size);
  try {
    const Json value = parse_json(text, "input");
    const Json library = Json::parse(text, nullptr, false);
    REPRISE_CHECK(!library.is_discarded(), "the library refuses what was accepted");
    // The library's own object keeps the first of equal keys, so only objects without them can be compared.
    REPRISE_CHECK(parse_json(to_json_text(value), "again") == value,
                  "the text written reads back as another value");
  } catch (const Error& e) {
    const bool limit = std::string_view(e.what()).find("nested deeper") != std::string_view::npos;
    // The library takes a byte of value 0 for the end of the text.
    const bool cut = text.find('\0') != std::string::npos;
    REPRISE_CHECK(limit || cut || !Json::accept(text), "refused what the library accepts: {}", e.what());
  }
  try {
    JsonLimits limits = kCheckpointJson;
    limits.exact_integers = true;
    to_json_text(parse_json(text, "input", limits));
  } catch (const Error&) {
  }
  return 0;
}
