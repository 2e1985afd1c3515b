#include "engine/step/plan_bytes.h"

#include <cstring>
#include <string_view>
#include <type_traits>

#include "core/error.h"
#include "engine/step/sample_buffers.h"

namespace reprise::engine {
namespace {

constexpr uint32_t kMagic = 0x32505352;  // "RSP2": another layout gets another number

// In the order of the bytes; `Plan` is const or not.
template <typename Plan, typename Visit>
void visit_lists(Plan& plan, Visit&& visit) {
  visit("sequences", plan.sequences);
  visit("token ids", plan.token_ids);
  visit("blocks", plan.blocks);
  visit("rows", plan.logit_rows);
  visit("samples", plan.samples);
  visit("biases", plan.biases);
  visit("counts", plan.counts);
  visit("masks", plan.masks);
  visit("scores", plan.scores);
}

class Writer {
 public:
  explicit Writer(std::vector<std::byte>& bytes) : bytes_(bytes) { bytes_.clear(); }
  void raw(const void* data, size_t size) {
    const auto* begin = static_cast<const std::byte*>(data);
    bytes_.insert(bytes_.end(), begin, begin + size);
  }
  void number(int64_t value) { raw(&value, sizeof(value)); }

 private:
  std::vector<std::byte>& bytes_;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  int64_t number(std::string_view what) {
    int64_t value = 0;
    std::memcpy(&value, take(sizeof(value), what), sizeof(value));
    return value;
  }
  int64_t number(std::string_view what, int64_t least, int64_t most) {
    const int64_t value = number(what);
    if (value < least || value > most)
      throw Error("[step plan] {} is {}, expected {} to {}", what, value, least, most);
    return value;
  }
  // As many as there are bytes for.
  template <typename T>
  void list(std::string_view what, std::vector<T>& to) {
    static_assert(std::is_trivially_copyable_v<T>);
    const int64_t count = number(what, 0, static_cast<int64_t>(bytes_.size() / sizeof(T)));
    to.resize(static_cast<size_t>(count));
    const size_t size = to.size() * sizeof(T);
    if (size > 0) std::memcpy(to.data(), take(size, what), size);
  }
  void end() const {
    if (!bytes_.empty()) throw Error("[step plan] {} bytes follow the end", bytes_.size());
  }

 private:
  const std::byte* take(size_t size, std::string_view what) {
    if (bytes_.size() < size) throw Error("[step plan] it is cut before the end of its {}", what);
    const std::byte* const data = bytes_.data();
    bytes_ = bytes_.subspan(size);
    return data;
  }

  std::span<const std::byte> bytes_;
};

void require(bool holds, std::string_view what) {
  if (!holds) throw Error("[step plan] {}", what);
}

void check_sequences(const StepPlan& plan, const PlanLimits& limits) {
  const int64_t most_blocks = (limits.max_model_len + limits.block_size - 1) / limits.block_size;
  int64_t tokens = 0, blocks = 0;
  for (const StepPlan::Sequence& sequence : plan.sequences) {
    const int64_t end = int64_t{sequence.begin} + sequence.tokens;
    require(sequence.begin >= 0 && sequence.tokens >= 1 && sequence.prompt_length >= 0 &&
                end <= limits.max_model_len && sequence.blocks >= 1 && sequence.blocks <= most_blocks &&
                sequence.blocks * limits.block_size >= end,
            "a sequence's blocks do not cover its positions");
    tokens += sequence.tokens;
    blocks += sequence.blocks;
  }
  require(tokens == static_cast<int64_t>(plan.token_ids.size()) &&
              blocks == static_cast<int64_t>(plan.blocks.size()),
          "its sequences have other tokens or blocks than it lists");
  for (const int32_t id : plan.token_ids)
    require(id >= 0 && id < limits.vocab_size, "a token id is out of the vocabulary");
  for (const BlockId block : plan.blocks)
    require(block >= 1 && block <= limits.num_kv_blocks, "it names a KV block that is not there");
}

void check_rows(const StepPlan& plan, const PlanLimits& limits) {
  const auto tokens = static_cast<int64_t>(plan.token_ids.size());
  const auto in_step = [&](int64_t row) { return row >= 0 && row < tokens; };
  require(plan.samples.size() == plan.logit_rows.size(), "its rows and samples are not as many");
  for (const int32_t row : plan.logit_rows)
    require(in_step(row), "a row reads a token that is not in the step");
  int64_t biases = 0, counts = 0, masked = 0;
  for (const SampleRow& row : plan.samples) {
    require(
        row.mode >= SampleMode::skip && row.mode <= SampleMode::score && row.bias_count >= 0 &&
            row.bias_count <= SampleBuffers::kMaxBiases && row.count_count >= 0 &&
            row.count_begin == counts && (row.masked == 0 || row.masked == 1) &&
            row.count_count <= limits.max_model_len &&
            (row.mode != SampleMode::score || (row.given_token >= 0 && row.given_token < limits.vocab_size)),
        "what is to be done with a row makes no sense");
    biases += row.bias_count;
    counts += row.count_count;
    masked += row.masked;
  }
  require(biases == static_cast<int64_t>(plan.biases.size()) &&
              counts == static_cast<int64_t>(plan.counts.size()) &&
              masked * mask_words(limits.vocab_size) == static_cast<int64_t>(plan.masks.size()) &&
              counts <= limits.num_kv_blocks * limits.block_size,
          "its rows have other biases, counts or masks than it lists");
  const auto in_vocabulary = [&](int32_t id) { return id >= 0 && id < limits.vocab_size; };
  for (const TokenBias& bias : plan.biases) require(in_vocabulary(bias.token), "a bias is of no token");
  for (const TokenCount& count : plan.counts) require(in_vocabulary(count.token), "a count is of no token");
  for (const StepPlan::Score& score : plan.scores)
    require(in_step(score.hidden_row) && in_vocabulary(score.token), "a score is of no token of the step");
}

}  // namespace

void write_bytes(const StepPlan& plan, std::vector<std::byte>& bytes) {
  Writer writer(bytes);
  writer.number(kMagic);
  for (const int64_t number :
       {plan.shape.decode_tokens, plan.shape.prefill_tokens, int64_t{plan.shape.scores_prompt},
        static_cast<int64_t>(plan.path.mode), static_cast<int64_t>(plan.path.recording),
        plan.path.captured_size, plan.path.padding, static_cast<int64_t>(plan.path.reason),
        int64_t{plan.captures}})
    writer.number(number);
  visit_lists(plan, [&](std::string_view, const auto& list) {
    writer.number(static_cast<int64_t>(list.size()));
    writer.raw(list.data(), list.size() * sizeof(list[0]));
  });
}

void read_bytes(std::span<const std::byte> bytes, const PlanLimits& limits, StepPlan& plan) {
  Reader reader(bytes);
  if (const int64_t magic = reader.number("beginning"); magic != kMagic)
    throw Error("[step plan] these bytes are none, or of another version of the program");
  const int64_t tokens = limits.step.tokens;
  plan.shape.decode_tokens = reader.number("decode tokens", 0, tokens);
  plan.shape.prefill_tokens = reader.number("prefill tokens", 0, tokens);
  plan.shape.scores_prompt = reader.number("scores_prompt", 0, 1) == 1;
  plan.path.mode = static_cast<RunMode>(reader.number("mode", 0, static_cast<int64_t>(RunMode::split)));
  plan.path.recording = static_cast<size_t>(reader.number("recording", 0, INT32_MAX));
  plan.path.captured_size = reader.number("captured size", 0, tokens);
  plan.path.padding = reader.number("padding", 0, tokens);
  plan.path.reason =
      static_cast<NotReplayed>(reader.number("reason", 0, static_cast<int64_t>(kNotReplayedReasons) - 1));
  plan.captures = reader.number("captures", 0, 1) == 1;
  visit_lists(plan, [&](std::string_view what, auto& list) { reader.list(what, list); });
  reader.end();
  const StepSizes sizes = plan.sizes();
  require(sizes.tokens <= limits.step.tokens && sizes.seqs <= limits.step.seqs &&
              sizes.rows <= limits.step.rows && plan.shape.tokens() == sizes.tokens,
          "it is larger than a step can be, or says so of itself");
  check_sequences(plan, limits);
  check_rows(plan, limits);
}

}  // namespace reprise::engine
