#include "engine/config/graph_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"

namespace reprise::engine {
namespace {

constexpr std::string_view kWhere = "--graph-optimization-config";
// Of a repeated key one value would be used silently.
constexpr JsonLimits kLimits = {
    .max_depth = 8, .max_keys_per_object = 1000, .max_bytes = size_t{1} << 20, .unique_keys = true};
constexpr int64_t kMostTokens = int64_t{1} << 24;  // tokens, as everywhere

std::optional<std::vector<int64_t>> sizes(const JsonValue& value) {
  if (value.is_null()) return std::nullopt;
  if (!value.json().is_array())
    value.fail(fmt::format("null or a list of integers from 1 to {}", kMostTokens));
  if (value.json().empty())
    throw Error("{} is [], so nothing would be captured; list sizes, or leave the key out", value.name());
  return value.integers(1, kMostTokens);
}

struct Key {
  std::string_view name;
  void (*read)(GraphConfig& config, const JsonValue& value);
};
using Config = GraphConfig;
constexpr Key kKeys[] = {
    {"graph_opt_level",
     [](Config& c, const JsonValue& v) { c.graph_opt_level = static_cast<int>(v.integer(0, 2)); }},
    {"use_cudagraph", [](Config& c, const JsonValue& v) { c.use_cudagraph = v.boolean(); }},
    {"cudagraph_capture_sizes", [](Config& c, const JsonValue& v) { c.cudagraph_capture_sizes = sizes(v); }},
    {"full_cuda_graph", [](Config& c, const JsonValue& v) { c.full_cuda_graph = v.boolean(); }},
    {"cudagraph_capture_sizes_prefill",
     [](Config& c, const JsonValue& v) { c.cudagraph_capture_sizes_prefill = sizes(v); }},
    {"max_capture_shape_prefill",
     [](Config& c, const JsonValue& v) { c.max_capture_shape_prefill = v.integer(1, kMostTokens); }},
    {"cudagraph_only_prefill", [](Config& c, const JsonValue& v) { c.cudagraph_only_prefill = v.boolean(); }},
    {"cudagraph_num_of_warmups",
     [](Config& c, const JsonValue& v) { c.cudagraph_num_of_warmups = v.integer(0, 1000); }},
    {"use_unique_memory_pool", [](Config& c, const JsonValue& v) { c.use_unique_memory_pool = v.boolean(); }},
    {"draft_model_use_cudagraph",
     [](Config& c, const JsonValue& v) { c.draft_model_use_cudagraph = v.boolean(); }},
};

std::vector<std::string_view> key_names() {
  std::vector<std::string_view> names;
  for (const Key& key : kKeys) names.push_back(key.name);
  return names;
}

Json parse_object(std::string_view json) {
  Json object = parse_json(json, fmt::format("[{}]", kWhere), kLimits);
  if (!object.is_object())
    throw Error("[{}] is {}, expected an object such as {{\"graph_opt_level\": 1, \"use_cudagraph\": true}}",
                kWhere, short_json_text(object));
  return object;
}

GraphConfig config_of(const Json& object) {
  const JsonFields fields(object, kWhere, FieldNames::flag);
  fields.refuse_unknown(key_names());
  GraphConfig config;
  for (const Key& key : kKeys)
    if (const auto found = object.find(key.name); found != object.end())
      key.read(config, JsonValue(*found, fields.name_of(key.name)));  // null is a value here
  if (config.draft_model_use_cudagraph)
    throw Error(
        "[{}] \"draft_model_use_cudagraph\" is true, but there is no speculative decoding and so no draft "
        "model yet; leave it out",
        kWhere);
  return config;
}

GraphVerify verify_of(std::string_view text) {
  constexpr std::string_view kSample = "sample=";
  if (text == "off") return {};
  if (text == "startup") return {.startup = true};
  if (text.starts_with(kSample)) {
    int64_t every = 0;
    const char* const last = text.data() + text.size();
    const auto [end, status] = std::from_chars(text.data() + kSample.size(), last, every);
    if (status == std::errc{} && end == last && every >= 1) return {.sample = every};
  }
  throw Error("[--graph-verify] is '{}', expected off, startup, or sample=N for one step in N, N >= 1", text);
}

std::string list_text(const std::vector<int64_t>& list) {
  return fmt::format("[{}]", fmt::join(list, ", "));
}

// A user's list, or the default one; `largest` is the largest step of the kind.
SizeList size_list(std::string_view key, const std::optional<std::vector<int64_t>>& asked, int64_t largest,
                   std::string_view largest_is, std::vector<std::string>& warnings) {
  CroppedSizes cropped = crop_sizes(*asked, largest);
  if (cropped.kept.empty())
    throw Error(
        "[{}] \"{}\" is {}, all above {} ({}), so nothing would be captured; list smaller sizes or raise it",
        kWhere, key, list_text(cropped.dropped), largest_is, largest);
  if (!cropped.dropped.empty())
    warnings.push_back(fmt::format("{}: sizes {} are above {} ({}) and are not captured", key,
                                   list_text(cropped.dropped), largest_is, largest));
  if (cropped.kept.back() < largest)
    warnings.push_back(
        fmt::format("{}: the largest size is {}, below {} ({}): larger steps run without a graph", key,
                    cropped.kept.back(), largest_is, largest));
  return {.any_size = false, .sizes = std::move(cropped.kept)};
}

SizeList decode_sizes(const GraphConfig& config, const GraphLimits& limits,
                      std::vector<std::string>& warnings) {
  if (config.cudagraph_capture_sizes)
    return size_list("cudagraph_capture_sizes", config.cudagraph_capture_sizes, limits.max_num_seqs,
                     "--max-num-seqs", warnings);
  if (limits.can.one_recording_fits) return {.any_size = true, .sizes = {limits.max_num_seqs}};
  if (limits.max_num_seqs > kLargestDefaultBatch)
    warnings.push_back(fmt::format(
        "cudagraph_capture_sizes: the default list ends at {}; above it only --max-num-seqs ({}) itself is "
        "captured, and every batch between runs padded to it",
        kLargestDefaultBatch, limits.max_num_seqs));
  return {.sizes = default_capture_sizes(limits.max_num_seqs)};
}

SizeList prefill_sizes(const GraphConfig& config, const GraphLimits& limits,
                       std::vector<std::string>& warnings) {
  const bool by_config = config.max_capture_shape_prefill <= limits.max_num_batched_tokens;
  const int64_t largest = by_config ? config.max_capture_shape_prefill : limits.max_num_batched_tokens;
  if (config.cudagraph_capture_sizes_prefill)
    return size_list("cudagraph_capture_sizes_prefill", config.cudagraph_capture_sizes_prefill, largest,
                     by_config ? "max_capture_shape_prefill" : "--max-num-batched-tokens", warnings);
  if (limits.can.one_recording_fits) return {.any_size = true, .sizes = {largest}};
  return {.sizes = default_prefill_capture_sizes(largest)};
}

// What was set and changes nothing: accepted, since a list may be kept while capture is tried on and off, but
// said.
void warn_of_idle_keys(const GraphConfig& config, std::vector<std::string>& warnings) {
  const GraphConfig defaults;
  const bool prefill = config.cudagraph_only_prefill || !config.full_cuda_graph;
  const auto idle = [&](std::initializer_list<std::pair<std::string_view, bool>> settings,
                        std::string_view why) {
    std::vector<std::string_view> names;
    for (const auto& [name, set] : settings)
      if (set) names.push_back(name);
    if (!names.empty()) warnings.push_back(fmt::format("{} without effect: {}", fmt::join(names, ", "), why));
  };
  if (!config.use_cudagraph) {
    idle({{"cudagraph_capture_sizes", config.cudagraph_capture_sizes.has_value()},
          {"full_cuda_graph", !config.full_cuda_graph},
          {"cudagraph_capture_sizes_prefill", config.cudagraph_capture_sizes_prefill.has_value()},
          {"max_capture_shape_prefill",
           config.max_capture_shape_prefill != defaults.max_capture_shape_prefill},
          {"cudagraph_only_prefill", config.cudagraph_only_prefill},
          {"cudagraph_num_of_warmups", config.cudagraph_num_of_warmups != defaults.cudagraph_num_of_warmups},
          {"use_unique_memory_pool", !config.use_unique_memory_pool},
          {"--capture-before-ready", config.capture_before_ready}},
         "use_cudagraph is off");
    idle({{"--graph-verify", config.graph_opt_level == 0 && config.verify != GraphVerify{}}},
         "at level 0 without use_cudagraph every step is the eager one");
    return;
  }
  if (!prefill)
    idle({{"cudagraph_capture_sizes_prefill", config.cudagraph_capture_sizes_prefill.has_value()},
          {"max_capture_shape_prefill",
           config.max_capture_shape_prefill != defaults.max_capture_shape_prefill}},
         "prefill is captured only with full_cuda_graph false or cudagraph_only_prefill");
  if (config.cudagraph_only_prefill)
    idle({{"cudagraph_capture_sizes", config.cudagraph_capture_sizes.has_value()}},
         "cudagraph_only_prefill captures no decode steps");
}

}  // namespace

GraphConfig parse_graph_config(std::string_view json) {
  return config_of(parse_object(json));
}

GraphConfig graph_config_of(const GraphFlags& flags) {
  const Json object = flags.graph_optimization_config.empty() ? Json::object()
                                                              : parse_object(flags.graph_optimization_config);
  GraphConfig config = config_of(object);
  const bool capture_in_json = object.contains("use_cudagraph");
  if (flags.use_cudagraph) {
    if (capture_in_json && config.use_cudagraph != *flags.use_cudagraph)
      throw Error("[{}] --use-cudagraph{} contradicts \"use_cudagraph\": {}; keep one of them", kWhere,
                  *flags.use_cudagraph ? "" : "=false", config.use_cudagraph);
    config.use_cudagraph = *flags.use_cudagraph;
  }
  config.verify = verify_of(flags.graph_verify);
  config.capture_before_ready = flags.capture_before_ready;
  if (flags.graph_opt.empty()) return config;
  if (flags.graph_opt != "auto")
    throw Error("[--graph-opt] is '{}', expected auto; a level is set by {}", flags.graph_opt, kWhere);
  if (object.contains("graph_opt_level"))
    throw Error("[--graph-opt] auto chooses the level, but {} says \"graph_opt_level\": {}; keep one of them",
                kWhere, config.graph_opt_level);
  config.choose_level = true;
  config.choose_capture = !flags.use_cudagraph && !capture_in_json;
  return config;
}

void require_graph_support(const GraphConfig& config, std::string_view architecture, bool supports) {
  if (supports) return;
  const std::string_view asked = config.choose_level          ? "--graph-opt auto"
                                 : config.graph_opt_level > 0 ? "a graph_opt_level above 0"
                                 : config.use_cudagraph       ? "use_cudagraph"
                                                              : "";
  if (!asked.empty())
    throw Error(
        "[graph] {} does not take part in graph optimisation, but {} asks for it; leave it out, or set "
        "supports_graph_optimization in the model's registration",
        architecture, asked);
}

std::vector<GraphConfig> graph_candidates(const GraphConfig& config, const GraphCapabilities& can) {
  if (!config.choose_level) return {config};
  std::vector<GraphConfig> out;
  // Split mode needs a static graph.
  for (int level = config.full_cuda_graph ? 0 : 1; level <= (can.has_compiler ? 2 : 1); ++level)
    for (const bool capture : {false, true}) {
      if (!config.choose_capture && capture != config.use_cudagraph) continue;
      out.push_back(config);
      out.back().choose_level = out.back().choose_capture = false;
      out.back().graph_opt_level = level;
      out.back().use_cudagraph = capture;
    }
  return out;
}

ResolvedGraph resolve_graph(const GraphConfig& config, const GraphLimits& limits) {
  REPRISE_CHECK(!config.choose_level && !config.choose_capture, "a level is still to be chosen");
  if (config.graph_opt_level == 2 && !limits.can.has_compiler)
    throw Error("[{}] \"graph_opt_level\" is 2, but this build has no compiler; use 0 or 1", kWhere);
  if (config.graph_opt_level == 0 && !config.full_cuda_graph)
    throw Error(
        "[{}] \"full_cuda_graph\" is false at graph_opt_level 0, where there is no static graph to split; "
        "set \"graph_opt_level\": 1 or leave it out",
        kWhere);
  ResolvedGraph out{.config = config};
  warn_of_idle_keys(config, out.warnings);
  // Lists that have no effect are checked as well: they are wrong as soon as they get one.
  std::vector<std::string> idle;
  const bool prefill = config.use_cudagraph && (config.cudagraph_only_prefill || !config.full_cuda_graph);
  const bool decode = config.use_cudagraph && !config.cudagraph_only_prefill;
  SizeList decode_list = decode_sizes(config, limits, decode ? out.warnings : idle);
  SizeList prefill_list = prefill_sizes(config, limits, prefill ? out.warnings : idle);
  if (decode) out.decode = std::move(decode_list);
  if (prefill) out.prefill = std::move(prefill_list);
  return out;
}

}  // namespace reprise::engine
