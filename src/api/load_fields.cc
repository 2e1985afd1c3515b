#include "api/load_fields.h"

#include <cstdint>

#include "api/field_text.h"
#include "core/error.h"

namespace reprise::api {
namespace {

constexpr const char* kModel = "Model";
constexpr const char* kGraph = "Graph optimization";
constexpr int64_t kMost = INT32_MAX;  // of counts: beyond any machine, and safe to multiply

using Options = LoadOptions;
using Text = std::string;

const LoadField kFields[] = {
    {"model", LoadForm::text, kModel, "folder with config.json and weights, or a .gguf file",
     [](Options& o, const Text& v) { o.model = v; }},
    {"tokenizer", LoadForm::text, kModel,
     "folder with a tokenizer.json, or a .gguf file, to use instead of the model's own",
     [](Options& o, const Text& v) { o.tokenizer = v; }},
    {"chat_template", LoadForm::text, kModel, "file with a Jinja template to use instead of the model's own",
     [](Options& o, const Text& v) { o.chat_template = v; }},
    {"chat_control_tokens_in_content", LoadForm::flag, kModel,
     "recognise control tokens in what user and tool messages say, as transformers does",
     [](Options& o, const Text& v) { o.chat_control_tokens_in_content = parse_boolean(v); }},
    {"dtype", LoadForm::text, kModel, "auto | float32 | bfloat16",
     [](Options& o, const Text& v) { o.dtype = v; }},
    {"isa", LoadForm::text, kModel, "auto | scalar | avx2 | avx512 | avx512_bf16 | amx",
     [](Options& o, const Text& v) { o.isa = v; }},
    {"load_choices", LoadForm::text, kModel, "default, or dummy: random weights from config.json alone",
     [](Options& o, const Text& v) {
       if (v != "default" && v != "dummy") throw Error("is '{}', expected default or dummy", v);
       o.random_weights = v == "dummy";
     }},
    {"threads", LoadForm::number, kModel, "0: every core this process may use",
     [](Options& o, const Text& v) { o.threads = static_cast<int>(parse_integer(v, 0, kMost)); }},
    {"max_model_len", LoadForm::number, kModel,
     "positions a sequence may have; 0: 2048, or fewer if the model has fewer",
     [](Options& o, const Text& v) { o.max_model_len = parse_integer(v, 0, kMost); }},
    {"max_num_seqs", LoadForm::number, kModel, "sequences in a step",
     [](Options& o, const Text& v) { o.max_num_seqs = parse_integer(v, 1, kMost); }},
    {"max_num_batched_tokens", LoadForm::number, kModel, "tokens in a step; 0: 512",
     [](Options& o, const Text& v) { o.max_num_batched_tokens = parse_integer(v, 0, kMost); }},
    {"enable_chunked_prefill", LoadForm::on_flag, kModel, "split long prompts over several steps (on)",
     [](Options& o, const Text& v) { o.enable_chunked_prefill = parse_boolean(v); }},
    {"target_itl_ms", LoadForm::number, kModel,
     "milliseconds to the next token of running outputs while prompts are computed; 0: as long as it takes (serve: 100)",
     [](Options& o, const Text& v) { o.target_itl_ms = parse_integer(v, 0, 3'600'000); }},
    {"enable_prefix_caching", LoadForm::on_flag, kModel,
     "keep full KV blocks and share them with prompts that begin alike (on)",
     [](Options& o, const Text& v) { o.enable_prefix_caching = parse_boolean(v); }},
    {"block_size", LoadForm::number, kModel, "positions per KV block, a multiple of 16",
     [](Options& o, const Text& v) { o.block_size = parse_integer(v, 1, kMost); }},
    {"num_gpu_blocks_override", LoadForm::number, kModel, "KV blocks; 0: from --kv-cache-memory",
     [](Options& o, const Text& v) { o.num_gpu_blocks_override = parse_integer(v, 0, kMost); }},
    {"kv_cache_memory", LoadForm::size, kModel, "memory of the KV cache, such as 2GiB",
     [](Options& o, const Text& v) { o.kv_cache_memory = parse_size(v); }},
    {"gpu_memory_utilization", LoadForm::number, kModel,
     "share of the free memory that may be used in all, where neither of these two is given",
     [](Options& o, const Text& v) { o.gpu_memory_utilization = parse_real(v); }},
    {"max_partition_size", LoadForm::number, kModel,
     "keys per attention partition; 0: FLAGS_max_partition_size or 2048",
     [](Options& o, const Text& v) { o.max_partition_size = parse_integer(v, 0, kMost); }},
    {"max_logprobs", LoadForm::number, kModel, "the most log-probabilities a prompt may ask for; -1: all",
     [](Options& o, const Text& v) { o.max_logprobs = static_cast<int>(parse_integer(v, -1, kMost)); }},
    {"graph_optimization_config", LoadForm::text, kGraph,
     R"(JSON, such as {"graph_opt_level": 1, "use_cudagraph": true}; docs/graph-optimization.md)",
     [](Options& o, const Text& v) {
       if (v.empty()) throw Error("is empty; give a JSON object");
       o.graph_optimization_config = v;
     }},
    {"use_cudagraph", LoadForm::flag, kGraph,
     "record launches once and replay them; short for {\"use_cudagraph\": true}",
     [](Options& o, const Text& v) { o.use_cudagraph = parse_boolean(v); }},
    {"graph_verify", LoadForm::text, kGraph,
     "off | startup | sample=N: compare every captured size, or one step in N, with the model's own code",
     [](Options& o, const Text& v) { o.graph_verify = v; }},
    {"graph_opt", LoadForm::text, kGraph,
     "auto: measure the ways to run a step at start and keep the fastest",
     [](Options& o, const Text& v) { o.graph_opt = v; }},
    {"capture_before_ready", LoadForm::flag, kGraph,
     "capture every size before the first request, not between steps",
     [](Options& o, const Text& v) { o.capture_before_ready = parse_boolean(v); }},
    {"compile_cache", LoadForm::text, kGraph,
     "directory of compiled kernels, or off; otherwise REPRISE_COMPILE_CACHE, or reprise/kernels in "
     "$XDG_CACHE_HOME or ~/.cache",
     [](Options& o, const Text& v) {
       if (v.empty()) throw Error("is '', expected a directory, or off");
       o.compile_cache = v;
     }},
    {"compile_before_ready", LoadForm::flag, kGraph,
     "compile every kernel before the first request, not beside the first steps",
     [](Options& o, const Text& v) { o.compile_before_ready = parse_boolean(v); }},
    {"compiled", LoadForm::text, kGraph,
     "file of compiled kernels that `reprise compile` wrote for this model; where it has all, nothing is compiled",
     [](Options& o, const Text& v) {
       if (v.empty()) throw Error("is '', expected a file that `reprise compile` wrote");
       o.compiled = v;
     }},
    {"compile_debug", LoadForm::flag, kGraph, "perf and gdb show compiled kernels by name",
     [](Options& o, const Text& v) { o.compile_debug = parse_boolean(v); }},
};

}  // namespace

std::span<const LoadField> load_fields() {
  return kFields;
}

void set_load_field(const LoadField& field, LoadOptions& options, const std::string& value,
                    const std::string& shown_name) {
  try {
    field.set(options, value);
  } catch (const Error& e) {
    throw Error("[{}] {}", shown_name, e.what());
  }
}

}  // namespace reprise::api
