// Reprise as a library: load a language model, give it prompts, get text and tokens.
//
//   reprise::LanguageModel model = reprise::LanguageModel::load({.model = "/models/SmolLM2-135M-Instruct"});
//   for (const reprise::Result& r : model.generate({{.text = "Once upon a time"}})) std::cout <<
//   r.outputs[0].text;
//
// Errors: every function may throw reprise::Exception, whose message says what was found, what was expected and
// what to do, and whose code says it to programs (error.h; std::bad_alloc and others as there). A prompt that can't run
// throws nothing: its Result carries the error, and the other prompts finish.
//
// Callbacks may throw anything, at any time. generate() then leaves by that exception: every request of that
// call is dropped, no callback is called again, and the model is ready for the next call, whose results are
// those that a fresh model would give.
//
// Threads: a LanguageModel is for one thread at a time, callbacks included. From within a callback, encode(),
// decode(), chat_prompt(), info() and the like may be called; generate(), start_trace() and stop_trace()
// throw.
//
// Numbers: a prompt's tokens and log-probabilities are the same bit for bit alone or among others, whatever
// the chunking, the number of threads or preemption; the same seed gives the same tokens.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "reprise/error.h"

namespace reprise {

// How a model is loaded and what it may use. Names are those of the command line's flags; load() throws
// Error, which names the flag, on a value out of range.
struct LoadOptions {
  std::string model = {};      // folder with config.json and weights, or a .gguf file; required
  std::string tokenizer = {};  // folder with a tokenizer.json, or a .gguf file, instead of the model's own
  std::string chat_template = {};  // file with a Jinja template to use instead of the model's own
  // Recognise control tokens in the content of user and tool messages, as transformers does by default. Then
  // whoever writes a message can end it and begin another one in any role.
  bool chat_control_tokens_in_content = false;
  std::string dtype = "auto";  // auto | float32 | bfloat16; auto: that of the checkpoint, bfloat16 for GGUF
  std::string isa = {};  // auto | scalar | avx2 | avx512 | avx512_bf16 | amx; empty: REPRISE_ISA, or auto
  bool random_weights = false;  // --load-choices dummy: only config.json is read
  int threads = 0;              // >= 0; 0: every core this process may use
  int64_t max_model_len = 0;    // positions a sequence may have; 0: 2048, or fewer if the model has fewer
  int64_t max_num_seqs = 8;     // >= 1, sequences in a step
  int64_t max_num_batched_tokens = 0;  // >= 0, tokens in a step; 0: 512
  bool enable_chunked_prefill = true;  // long prompts are split over several steps
  // Milliseconds within which running outputs get their next token while prompts are computed beside them: these are
  // cut into pieces for it, by the times that steps take here. 0: pieces of max_num_batched_tokens.
  int64_t target_itl_ms = 0;
  int64_t block_size = 64;              // positions per KV block, a multiple of 16
  bool enable_prefix_caching = true;    // a prompt's beginning that was computed before is found again
  int64_t num_gpu_blocks_override = 0;  // KV blocks; 0: from kv_cache_memory
  double gpu_memory_utilization = 0.9;  // (0, 1], share of the free memory that the process may use in all
  size_t kv_cache_memory = 0;      // bytes; 0: what the sequences can use, at most a share of the free memory
  int64_t max_partition_size = 0;  // keys per attention partition; 0: FLAGS_max_partition_size, or 2048
  int max_logprobs = 20;           // the most a request may ask for; -1: the whole vocabulary
  uint64_t seed = 0;  // of requests that give none: this plus the request's number, so that runs repeat

  // Graph optimization (docs/graph-optimization.md). Unknown keys, contradictions and what can't be served
  // throw.
  std::string graph_optimization_config = {};  // JSON object of its keys; empty: level 0, nothing captured
  std::optional<bool> use_cudagraph = {};      // short for that key; absent: as the JSON says
  std::string graph_verify = "off";            // off | startup | sample=N: compare replays with eager runs
  std::string graph_opt = {};                  // auto: measure the ways to run and keep the fastest
  bool capture_before_ready = false;           // false: captures happen between the first steps
  // Level 2 (docs/compiler.md). The directory where compiled kernels are kept between starts, or "off"; empty:
  // REPRISE_COMPILE_CACHE, or reprise/kernels in $XDG_CACHE_HOME or ~/.cache.
  std::string compile_cache = {};
  // Compile every kernel before the first request; absent: REPRISE_COMPILE_BEFORE_READY (1 or 0), or false.
  std::optional<bool> compile_before_ready = {};
  // A file that `reprise compile` wrote for this model: where it has all kernels, nothing is compiled and no cache is
  // opened. Refused before the weights are read where it is damaged or for another model, ISA level or version.
  std::string compiled = {};
  bool compile_debug = false;  // perf and gdb show compiled kernels by name
};

// How the tokens of one request are chosen. Defaults are the API's; the checkpoint's generation_config.json
// is in LanguageModel::default_sampling(). A value out of range is the error of its prompt, found before any
// text is processed.
struct Sampling {
  float temperature = 1.0f;                           // >= 0; 0 takes the most likely token
  int top_k = 0;                                      // >= 1; 0 or -1: off
  float top_p = 1.0f;                                 // [0, 1]
  float min_p = 0.0f;                                 // [0, 1]
  float repetition_penalty = 1.0f;                    // > 0
  float presence_penalty = 0.0f;                      // [-2, 2]
  float frequency_penalty = 0.0f;                     // [-2, 2]
  std::vector<std::pair<int32_t, float>> logit_bias;  // token id, [-100, 100]; at most 1024
  std::optional<uint64_t> seed;                       // absent: LoadOptions::seed plus the request's number
  std::optional<int> max_tokens;                      // >= 0; absent: as far as max_model_len goes
  int min_tokens = 0;  // [0, max_tokens]; nothing but length ends an output before so many tokens
  int n = 1;           // [1, 128], outputs for the prompt
  // Strings that end the text, valid UTF-8: at most 128, 64 KiB in all; empty ones are ignored. They are
  // looked for in what the model said, special tokens included even where skip_special_tokens hides them. One
  // counts when a token after the first min_tokens completes it; it may begin before. Of several the one that
  // is complete first counts, and of those that end together the longest. The text is cut where it begins.
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;      // at most 256
  bool include_stop_str_in_output = false;  // the text keeps the stop string
  std::vector<std::string> bad_words;       // words never said: at most 256, 64 KiB in all
  std::vector<std::vector<int32_t>>
      bad_words_token_ids;          // sequences never said: at most 512, 65536 ids in all
  bool ignore_eos = false;          // the end of text doesn't end the output
  bool echo = false;                // the output's text begins with the prompt's
  bool skip_special_tokens = true;  // the text leaves special tokens out
  std::optional<int> logprobs;  // best tokens listed per position, [0, max_logprobs]; -1: whole vocabulary
  std::optional<int> prompt_logprobs;  // the same for the prompt's tokens
};

struct Message {
  std::string role;  // "system", "user", "assistant" ...
  std::string content;
};

// One prompt: the first that is set of text, token_ids, messages_json and messages counts. Text may hold any
// bytes, zero included; invalid UTF-8 counts as U+FFFD. At most 16 MiB of text or JSON.
// Which tokens output `output` may go on with, after `output_ids`, which it has already: for text that must have a form.
// Clears the bits of the others in `allowed`, where all are set: bit id % 32 of word id / 32. End of text is a token as
// well. Called on the model's thread before each choice, so it must not wait; perhaps twice for the same one. What it
// throws, or where it allows nothing, is the error of its prompt's Result.
using TokenMask =
    std::function<void(int output, std::span<const int32_t> output_ids, std::span<uint32_t> allowed)>;

struct Prompt {
  std::optional<std::string> text = std::nullopt;
  std::vector<int32_t> token_ids = {};
  std::vector<Message> messages = {};  // rendered by the chat template; at most 8192
  std::string messages_json = "";      // the same as a JSON list, for tool calls and content lists
  // What else the chat template sees, as JSON; empty: nothing.
  std::string tools_json = "";      // list of tools
  std::string documents_json = "";  // list of documents
  std::string chat_template_kwargs_json =
      "";                             // object of further variables, such as {"enable_thinking": false}
  std::string chat_template = "";     // Jinja, at most 1 MiB, in place of the model's own; empty: that one
  bool add_generation_prompt = true;  // the text ends with the beginning of the answer
  // Only prompts with the same salt share what the prefix cache holds, at most 256 bytes: nobody else can find out by
  // the time to the first token what was sent before.
  std::string cache_salt = {};
  Sampling sampling = {};
  TokenMask token_mask = nullptr;  // null: every token may come
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
  std::string finish_reason;  // "stop", "length", "abort", or "error": Result::error says why
  std::vector<TokenLogprob> logprobs;
};

struct Metrics {
  int64_t cached_tokens = 0;  // of the prompt, found in the prefix cache
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
  // Not empty: why this prompt could not run or be finished. `outputs` then holds what was produced before,
  // if anything was.
  std::string error;
};

// News of one output while it grows. Valid during the callback only.
struct StreamEvent {
  size_t prompt = 0;  // place in the list given to generate(), or in the order of the source
  int output = 0;     // 0 .. n-1
  const std::string&
      text;  // new text, whole UTF-8 characters, may be empty; never what a stop string cuts off
  const std::vector<int32_t>& token_ids;  // new tokens
  bool finished = false;                  // the last event of this output
};
// False ends that output with finish_reason "abort".
using StreamCallback = std::function<bool(const StreamEvent&)>;

// A prompt is complete: its result, in the order in which prompts complete. False cancels the whole call.
using ResultCallback = std::function<bool(size_t index, const Prompt& prompt, Result&& result)>;

struct GenerateOptions {
  StreamCallback on_event = nullptr;
  // Where set, results go there as they come and are not kept: generate() returns an empty list. While the
  // oldest prompt runs, at most 4096 prompts are taken after it, so a caller who writes in order holds no
  // more.
  ResultCallback on_result = nullptr;
  // Set by any thread or signal handler: at the next step all outputs end with finish_reason "abort" and what
  // they have, their results are delivered, and no further prompt is taken. In a list that is returned,
  // prompts that had not begun have an error that says so.
  const std::atomic<bool>* cancel = nullptr;
};

// Gives prompts one by one, each when there is a place for it, on the thread that calls generate_from().
// `may_wait`: nothing is running, so the source may block; otherwise it returns `later` when it has no prompt
// at hand.
enum class PromptFeed { prompt, later, end };
using PromptSource = std::function<PromptFeed(Prompt& prompt, bool may_wait)>;

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
  int64_t kv_block_size = 0;  // tokens in a KV block
  int64_t kv_blocks = 0;
  int64_t max_num_seqs = 0;  // outputs in a step
  size_t arena_bytes = 0;
  size_t input_bytes = 0;
  std::vector<MemoryUse> memory;  // all of it, by purpose
  std::string dtype;
  std::string isa;
  // Names what the bits of a request's tokens and log-probabilities depend on beside the request: all numbers of the
  // weights, the configuration, dtype, ISA level, --max-partition-size and version. Not the tokenizer.
  std::string fingerprint;
  int threads = 0;
  int64_t vocab_size = 0;
  int64_t max_model_len = 0;
  double load_s = 0;
  std::vector<std::string> warnings;  // settings that are not wrong, but may not do what was meant
};

// Level 2: what became of the groups of ops that run as one kernel (docs/compiler.md). The kernels of groups that are
// alike are one. Compiled in the background, so the numbers grow while steps run.
struct CompileReport {
  std::string compiler;    // "llvm 19.1.7"; empty: none was needed, or none is there
  int64_t groups = 0;      // of a step
  int64_t kernels = 0;     // different ones: compiled + from_cache + not compiled + those that are waited for
  int64_t compiled = 0;    // since the model was loaded
  int64_t from_cache = 0;  // found in the cache or in LoadOptions::compiled
  int64_t rejected = 0;    // entries of the cache that were damaged; their kernels are compiled again
  std::vector<std::pair<std::string, int64_t>> not_compiled;  // reason, kernels: these are interpreted,
                                                              // or "slower": their ops run one by one
  std::vector<std::string> in_parts;                          // what was measured of the latter
  double ms = 0;                                              // spent in compiling
  double trials_ms = 0;                                       // in timing kernels beside their ops
  std::string cache_dir;                                      // empty: off, or it was not needed
  std::vector<std::string>
      warnings;  // the first kernel that was not compiled and why; why the cache isn't used
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
  CompileReport compile;
  int64_t steps_verified = 0;  // compared with the model's own code while serving
  int64_t steps_differing = 0;
  std::string difference;  // the last: the first op and layer that differ

  std::string text() const;  // lines for people
};

// A loaded model with its tokenizer, KV cache and threads. One thread at a time.
class LanguageModel {
 public:
  // Throws Error where the model can't be read, doesn't fit into memory, or an option is wrong.
  static LanguageModel load(const LoadOptions& options);
  LanguageModel(LanguageModel&&) noexcept;
  LanguageModel& operator=(LanguageModel&&) noexcept;
  ~LanguageModel();  // not from within a callback

  // Runs all prompts as one continuous batch. Results are in the order of the prompts. A prompt is encoded
  // when there is a place for it, so memory and the time to the first result don't grow with the list.
  std::vector<Result> generate(const std::vector<Prompt>& prompts, const StreamCallback& on_event = nullptr);
  std::vector<Result> generate(const std::vector<Prompt>& prompts, const GenerateOptions& options);
  // The same for prompts that come one by one; results go to options.on_result.
  void generate_from(const PromptSource& source, const GenerateOptions& options);

  // Text to ids and back. Throw where the model has no tokenizer. decode() is exactly the text that the
  // tokenizers library gives. The text of outputs is the same, but where byte tokens (<0xE2>) are not valid
  // UTF-8: outputs have a U+FFFD for each bad byte, decode() for each byte of all byte tokens in a row.
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
