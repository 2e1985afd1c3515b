// Any text as config.json and as generation_config.json: an Error, or a configuration that keeps its
// promises.
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "core/json.h"
#include "weights/generation_defaults.h"
#include "weights/model_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reprise::weights;
  reprise::Json json;
  try {
    json =
        reprise::parse_json({reinterpret_cast<const char*>(data), size}, "input", reprise::kCheckpointJson);
  } catch (const reprise::Error&) {
    return 0;
  }
  try {
    const ModelConfig config = parse_model_config(json, "input");
    REPRISE_CHECK(config.head_dim % 2 == 0 && config.num_heads % config.num_kv_heads == 0, "unchecked sizes");
    for (int64_t i = 0; i < config.num_layers; ++i)
      REPRISE_CHECK(config.window_of_layer(i) >= 0, "negative window");
  } catch (const reprise::Error&) {
  }
  try {
    parse_generation_defaults(json, "input");
  } catch (const reprise::Error&) {
  }
  return 0;
}
