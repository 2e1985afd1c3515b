#include "engine/runner/memory_advice.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/error.h"
#include "engine/kv/kv_store.h"
#include "engine/runner/runner.h"

namespace reprise::engine {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

class Adviser {
 public:
  Adviser(const models::Model& model, const EngineServices& services, const EngineConfig& config,
          size_t memory)
      : model_(model), services_(services), config_(config), memory_(memory) {}

  std::vector<std::string> advice() {
    const EngineConfig now = config_.resolved();
    // Steps of KV blocks and of 64 tokens: finer ones would cost a plan each and gain nobody anything.
    if (config_.num_gpu_blocks_override)
      lower("--num-gpu-blocks-override", *config_.num_gpu_blocks_override, 1,
            [](EngineConfig& c, int64_t value) { c.num_gpu_blocks_override = value; });
    if (config_.kv_cache_memory && !config_.num_gpu_blocks_override)
      lower("--kv-cache-memory", static_cast<int64_t>(*config_.kv_cache_memory), kMiB,
            [](EngineConfig& c, int64_t value) { c.kv_cache_memory = static_cast<size_t>(value); });
    lower("--max-model-len", now.max_model_len, now.block_size, set_length);
    lower("--max-num-seqs", now.max_num_seqs, 1, set_seqs);
    lower("--max-num-batched-tokens", *now.max_num_batched_tokens, 64,
          [](EngineConfig& c, int64_t value) { c.max_num_batched_tokens = value; });
    if (lines_.empty()) lower_all(now);
    raise_utilization();
    give_memory();
    return std::move(lines_);
  }

 private:
  static void set_length(EngineConfig& config, int64_t value) { config.max_model_len = value; }
  static void set_seqs(EngineConfig& config, int64_t value) { config.max_num_seqs = value; }

  bool fits(const EngineConfig& config, size_t memory) const {
    try {
      return predict_memory(model_, services_, config, memory).fits;
    } catch (const Error&) {
      return false;  // a value out of its range beside the other settings
    }
  }

  // The largest multiple of `step` below `from` that fits, 0 where none does: less of anything never takes
  // more.
  int64_t largest(const EngineConfig& base, int64_t from, int64_t step,
                  const std::function<void(EngineConfig&, int64_t)>& set) const {
    int64_t low = 0, high = (from + step - 1) /
                            step;  // in steps: the least that may fit less one, the first known not to
    while (high - low > 1) {
      const int64_t middle = (low + high) / 2;
      EngineConfig trial = base;
      set(trial, middle * step);
      (fits(trial, memory_) ? low : high) = middle;
    }
    return low * step;
  }

  void lower(const char* flag, int64_t from, int64_t step,
             const std::function<void(EngineConfig&, int64_t)>& set) {
    if (const int64_t value = largest(config_, from, step, set); value > 0)
      lines_.push_back(fmt::format("lower {} from {} to {}", flag, from, value));
  }

  void lower_all(const EngineConfig& now) {
    EngineConfig least = config_;
    least.max_num_seqs = 1;
    least.max_num_batched_tokens = least.enable_chunked_prefill ? std::optional<int64_t>(64) : std::nullopt;
    if (const int64_t length = largest(least, now.max_model_len + now.block_size, now.block_size, set_length);
        length > 0)
      lines_.push_back(fmt::format("lower --max-num-seqs to 1{} and --max-model-len to {}, all at once",
                                   least.enable_chunked_prefill ? ", --max-num-batched-tokens to 64" : "",
                                   std::min(length, now.max_model_len)));
  }

  void raise_utilization() {
    const MemoryPrediction least = predict_memory(model_, services_, config_, memory_);
    EngineConfig trial = config_;
    trial.memory_utilization =
        std::ceil(static_cast<double>(least.report.total()) / static_cast<double>(memory_) * 100) / 100;
    if (trial.memory_utilization <= 1 && trial.memory_utilization > config_.memory_utilization &&
        fits(trial, memory_))
      lines_.push_back(fmt::format("raise --gpu-memory-utilization from {} to {:.2f}",
                                   config_.memory_utilization, trial.memory_utilization));
  }

  void give_memory() {
    const MemoryPrediction least = predict_memory(model_, services_, config_, memory_);
    const double needed = static_cast<double>(least.report.total()) / config_.memory_utilization;
    auto mebibytes = static_cast<size_t>(std::ceil(needed / static_cast<double>(kMiB)));
    // The report counts whole slabs, of which a small cache needs only a part.
    while (mebibytes > 1 && fits(config_, (mebibytes - 1) * kMiB)) --mebibytes;
    while (!fits(config_, mebibytes * kMiB)) ++mebibytes;
    lines_.push_back(
        fmt::format("give the process {} MiB of memory in place of {} MiB", mebibytes, memory_ / kMiB));
  }

  const models::Model& model_;
  const EngineServices& services_;
  const EngineConfig& config_;
  size_t memory_;
  std::vector<std::string> lines_;
};

}  // namespace

MemoryPrediction predict_memory(const models::Model& model, const EngineServices& services,
                                const EngineConfig& config, size_t memory) {
  EngineConfig resolved = config.resolved();
  MemoryPrediction plan{
      .report = {},
      .budget = static_cast<size_t>(static_cast<double>(memory) * config.memory_utilization),
      .fits = true};
  try {
    plan.report = Runner(model, services, resolved, memory, /*dry=*/true).planned();
    // A size of the cache that the user gave is taken as it is.
    if (config.num_gpu_blocks_override || config.kv_cache_memory)
      plan.fits = plan.report.total() <= plan.budget;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::does_not_fit) throw;
    plan.fits = false;
    resolved.num_gpu_blocks_override = blocks_per_sequence(resolved);
    plan.report = Runner(model, services, resolved, memory, /*dry=*/true).planned();
  }
  return plan;
}

std::vector<std::string> memory_advice(const models::Model& model, const EngineServices& services,
                                       const EngineConfig& config, size_t memory) {
  return Adviser(model, services, config, memory).advice();
}

}  // namespace reprise::engine
