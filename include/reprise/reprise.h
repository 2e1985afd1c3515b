// Reprise as a library: load a language model, give it prompts, get text and tokens.
//
//   reprise::LanguageModel model = reprise::LanguageModel::load({.model = "/models/SmolLM2-135M-Instruct"});
//   for (const reprise::Result& r : model.generate({{.text = "Once upon a time"}})) std::cout <<
//   r.outputs[0].text;
//
// Errors: every function may throw an exception derived from std::runtime_error whose message says what was
// wrong, where, and the mend. A prompt that can't run is no exception: its Result carries the error, the
// others finish.
//
// Numbers: a prompt's tokens and log-probabilities are the same bit for bit alone or among others, whatever
// the chunking, the number of threads or preemption; the same seed gives the same tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace reprise {

// How a model is loaded and what it may use. Names are those of the command line's flags.
struct LoadOptions {
  std::string model = {};          // folder with config.json and weights, or a .gguf file
  std::string tokenizer = {};      // folder or tokenizer.json to use instead of the model's own
  std::string chat_template = {};  // file with a Jinja template to use instead of the model's own
  // Recognise control tokens in the content of user and tool messages, as transformers does by default. Then
  // whoever writes a message can end it and begin another one in any role.
  bool chat_control_tokens_in_content = false;
  std::string dtype = "auto";  // auto | float32 | bfloat16; auto: that of the checkpoint, bfloat16 for GGUF
  std::string isa = {};  // auto | scalar | avx2 | avx512 | avx512_bf16 | amx; empty: REPRISE_ISA, or auto
  bool random_weights = false;  // --load-choices dummy: only config.json is read
  int threads = 0;              // 0: every core this process may use
  int64_t max_model_len = 0;    // positions a sequence may have; 0: 2048, or fewer if the model has fewer
  int64_t max_num_seqs = 8;     // sequences in a step
  int64_t max_num_batched_tokens = 0;  // tokens in a step; 0: 8192
  bool enable_chunked_prefill = true;
  int64_t block_size = 64;              // positions per KV block, a multiple of 16
  int64_t num_gpu_blocks_override = 0;  // KV blocks; 0: from kv_cache_memory
  double gpu_memory_utilization = 0.9;  // (0, 1], share of the free memory that the process may use in all
  size_t kv_cache_memory = 0;      // bytes; 0: what the sequences can use, at most a share of the free memory
  int64_t max_partition_size = 0;  // keys per attention partition; 0: FLAGS_max_partition_size, or 32768
  int max_logprobs = 20;           // the most a request may ask for; -1: the whole vocabulary
  uint64_t seed = 0;               // of requests that give none

  // Graph optimisation (docs/graph-optimization.md). What is misspelt, contradicts or can't be served throws.
  std::string graph_optimization_config = {};  // JSON object of its keys; empty: level 0, nothing captured
  std::optional<bool> use_cudagraph = {};      // short for that key; absent: as the JSON says
  std::string graph_verify = "off";            // off | startup | sample=N: compare replays with eager runs
  std::string graph_opt = {};                  // auto: measure the ways to run and keep the fastest
  bool capture_before_ready = false;           // false: captures happen between the first steps
};

// How the tokens of one request are chosen. Defaults are the API's; the checkpoint's generation_config.json
// is in LanguageModel::default_sampling().
struct Sampling {
  float temperature = 1.0f;                           // >= 0; 0 is greedy
  int top_k = 0;                                      // 0 or -1: off
  float top_p = 1.0f;                                 // [0, 1]
  float min_p = 0.0f;                                 // [0, 1]
  float repetition_penalty = 1.0f;                    // > 0
  float presence_penalty = 0.0f;                      // [-2, 2]
  float frequency_penalty = 0.0f;                     // [-2, 2]
  std::vector<std::pair<int32_t, float>> logit_bias;  // token id, [-100, 100]
  std::optional<uint64_t> seed;
  std::optional<int> max_tokens;  // absent: as far as max_model_len goes
  int min_tokens = 0;
  int n = 1;                      // outputs for the prompt
  std::vector<std::string> stop;  // strings that end the text
  std::vector<int32_t> stop_token_ids;
  bool include_stop_str_in_output = false;
  std::vector<std::string> bad_words;
  std::vector<std::vector<int32_t>> bad_words_token_ids;
  bool ignore_eos = false;
  bool echo = false;  // the output's text begins with the prompt's
  bool skip_special_tokens = true;
  std::optional<int> logprobs;         // best tokens listed per position; -1: the whole vocabulary
  std::optional<int> prompt_logprobs;  // same for the prompt
};

struct Message {
  std::string role;  // "system", "user", "assistant" ...
  std::string content;
};

// One prompt: the first of these that is set counts.
struct Prompt {
  std::optional<std::string> text = std::nullopt;
  std::vector<int32_t> token_ids = {};
  std::vector<Message> messages = {};  // rendered by the chat template
  std::string messages_json = "";      // the same as a JSON list, for tools, tool calls and content lists
  Sampling sampling = {};
};

struct RankedToken {
  int32_t token_id = 0;
  float logprob = 0;
};

struct TokenLogprob {
  int32_t token_id = 0;
  float logprob = 0;             // natural logarithm
  std::vector<RankedToken> top;  // the best, descending
};

struct Output {
  int index = 0;  // 0 .. n-1
  std::string text;
  std::vector<int32_t> token_ids;
  std::string finish_reason;  // "stop", "length", "abort"
  std::vector<TokenLogprob> logprobs;
};

struct Metrics {
  double time_to_first_token_s = 0;
  double decode_tokens_per_s = 0;  // tokens after the first / time since the first
  int64_t preemptions = 0;
  int64_t steps_replayed = 0;
  std::vector<std::pair<std::string, int64_t>> steps_not_replayed;  // reason, count
};

struct Result {
  std::vector<int32_t> prompt_token_ids;
  std::vector<Output> outputs;
  std::vector<TokenLogprob> prompt_logprobs;  // of tokens 1, 2 ...; the first has none
  Metrics metrics;
  std::string error;  // not empty: this prompt could not run
};

// News of one output while it grows. Valid during the callback only.
struct StreamEvent {
  size_t prompt = 0;  // index into the list given to generate()
  int output = 0;
  const std::string& text;  // new text, whole UTF-8 characters, may be empty
  const std::vector<int32_t>& token_ids;
  bool finished = false;
};
// False ends that output with finish_reason "abort".
using StreamCallback = std::function<bool(const StreamEvent&)>;

// Bytes of one purpose: as planned before anything was allocated, and as allocated since. Recordings count
// when they are made.
struct MemoryUse {
  std::string what;
  size_t predicted = 0;
  size_t actual = 0;
};

struct ModelInfo {
  std::string architecture;
  int64_t parameters = 0;
  size_t weight_bytes = 0;         // packed, as the kernels read them
  size_t bytes_read_per_step = 0;  // of them, what every step reads: all but the rows of an untied embedding
  size_t kv_bytes = 0;
  int64_t kv_blocks = 0;
  size_t arena_bytes = 0;
  size_t input_bytes = 0;
  std::vector<MemoryUse> memory;  // all of it, by purpose
  std::string dtype;
  std::string isa;
  int threads = 0;
  int64_t vocab_size = 0;
  int64_t max_model_len = 0;
  double load_s = 0;
  std::vector<std::string> warnings;  // settings that are not wrong, but may not do what was meant
};

// What graph optimisation did since the model was loaded: how steps ran and why, what was captured, and what
// --graph-verify found.
struct GraphReport {
  int64_t steps = 0;
  int64_t steps_replayed = 0;
  int64_t steps_split = 0;                                          // of these, replayed in parts
  std::vector<std::pair<std::string, int64_t>> steps_not_replayed;  // reason, count
  int64_t tokens_replayed = 0;
  int64_t tokens_padding = 0;  // rows of replays beside these, which nobody reads
  int64_t captures = 0;
  int64_t captures_pending = 0;
  int64_t captures_failed = 0;
  std::string capture_failure;  // the last
  double capture_s = 0;
  double warmup_s = 0;   // steps run before captures
  int64_t launches = 0;  // of a captured step
  struct Split {         // an op that runs between two replayed parts
    std::string op, layer, why;
  };
  std::vector<Split> splits;
  int64_t steps_verified = 0;  // compared with the model's own code while serving
  int64_t steps_differing = 0;
  std::string difference;  // the last: the first op and layer that differ

  std::string text() const;  // lines for people
};

// A loaded model with its tokenizer, KV cache and threads. Thread contract: one thread at a time.
class LanguageModel {
 public:
  static LanguageModel load(const LoadOptions& options);
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;
  ~LanguageModel();

  // Runs all prompts as one continuous batch. Results are in the order of the prompts.
  std::vector<Result> generate(const std::vector<Prompt>& prompts, const StreamCallback& on_event = nullptr);

  // Text to ids and back. Throw where the model has no tokenizer.
  std::vector<int32_t> encode(const std::string& text, bool add_special_tokens = true) const;
  std::string decode(const std::vector<int32_t>& token_ids, bool skip_special_tokens = true) const;
  bool has_tokenizer() const;
  // The conversation as the model wants to read it.
  std::string chat_prompt(const std::vector<Message>& messages) const;

  // The API's defaults overlaid with the checkpoint's generation_config.json.
  Sampling default_sampling() const;
  ModelInfo info() const;
  GraphReport graph_report() const;

  // Chrome trace of every step between the two calls, with names from the model's layers.
  void start_trace();
  void stop_trace();
  void write_trace(const std::string& path) const;
  std::string trace_summary() const;
  // Of a traced decode step, the microseconds that were not spent in kernels.
  double trace_overhead_us() const;

 private:
  struct Impl;
  explicit LanguageModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Version of the library, "0.1.0".
const char* version();

}  // namespace reprise
