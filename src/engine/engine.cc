#include "engine/engine.h"

#include <algorithm>
#include <deque>
#include <exception>
#include <unordered_map>
#include <utility>
#include <variant>

#include "core/error.h"
#include "core/process_limits.h"
#include "core/thread_team.h"
#include "engine/kv_cache.h"
#include "engine/memory_advice.h"
#include "engine/phase.h"
#include "engine/runner.h"
#include "engine/sequence.h"
#include "models/model.h"

namespace reprise::engine {
namespace {

// How much of the waiting queue the scheduler sees: enough to fill a step and to look past long prompts.
constexpr size_t kWindowFactor = 2;

struct FinishCommand {
  RequestId request;
  int32_t output;  // -1: all
  FinishReason reason;
  int64_t keep_tokens;  // -1: all
};
struct SubmitCommand {
  RequestId id;
  Request request;
  Clock::time_point arrival;
};
using Command = std::variant<SubmitCommand, FinishCommand>;

EngineConfig checked(const EngineConfig& config, const models::Model& model) {
  EngineConfig out = config.resolved();
  if (out.eos_token_ids.size() > SampleBuffers::kMaxEos)
    throw Error("[config] {} end-of-text ids, at most {} are served; keep fewer", out.eos_token_ids.size(),
                SampleBuffers::kMaxEos);
  const int64_t vocab = model.config().vocab_size;
  // An id beyond the vocabulary can't be sampled, so it can't end anything.
  std::erase_if(out.eos_token_ids, [&](int32_t id) { return id < 0 || id >= vocab; });
  return out;
}

Budget budget_of(const EngineConfig& config) {
  return {.max_num_seqs = config.max_num_seqs,
          .max_num_batched_tokens = *config.max_num_batched_tokens,
          .enable_chunked_prefill = config.enable_chunked_prefill,
          .max_num_partial_prefills = config.max_num_partial_prefills,
          .max_long_partial_prefills = config.max_long_partial_prefills,
          .long_prefill_token_threshold = *config.long_prefill_token_threshold};
}

// Where it doesn't fit, the error says what would.
Runner make_runner(const models::Model& model, ThreadTeam& team, Isa isa, const EngineConfig& resolved,
                   const EngineConfig& asked) {
  const size_t memory = available_memory() + model.weight_bytes();
  try {
    return Runner(model, team, isa, resolved, memory);
  } catch (const DoesNotFit& error) {
    throw Error("{}; to make it fit: {}", error.what(),
                fmt::join(memory_advice(model, team, isa, asked, memory), ", or "));
  }
}

}  // namespace

class Engine::Impl {
 public:
  Impl(std::unique_ptr<const models::Model> model, ThreadTeam& team, Isa isa, const EngineConfig& config,
       EventSink sink)
      : model_(std::move(model)),
        config_(checked(config, *model_)),
        budget_(budget_of(config_)),
        sink_(std::move(sink)),
        runner_(make_runner(*model_, team, isa, config_, config)),
        pool_(runner_.planned().num_kv_blocks) {
    running_.reserve(static_cast<size_t>(config_.max_num_seqs));
    if (config_.graph.capture_before_ready || config_.graph.verify.startup)
      while (capture_next()) {
      }
    if (config_.graph.verify.startup) problems_ = runner_.verify_captures();
  }

  RequestId submit(Request request) {
    const RequestId id = next_id_++;
    commands_.emplace_back(SubmitCommand{id, std::move(request), Clock::now()});
    return id;
  }
  void finish(const FinishCommand& command) { commands_.emplace_back(command); }

  bool step() {
    admit();
    if (running_.empty() && waiting_.empty()) return !commands_.empty();
    decide();
    run_batch();
    capture_next();
    return true;
  }
  bool idle() const { return commands_.empty() && running_.empty() && waiting_.empty(); }

  const EngineConfig& config() const { return config_; }
  const models::Model& model() const { return *model_; }
  const Runner& runner() const { return runner_; }
  const std::vector<std::string>& problems() const { return problems_; }
  bool capture_next() { return runner_.graph().capture_next(); }
  EngineStats stats() const {
    EngineStats out = stats_;
    out.running = static_cast<int64_t>(running_.size());
    out.waiting = static_cast<int64_t>(waiting_.size());
    out.free_blocks = pool_.free();
    return out;
  }
  void set_profiler(Profiler* profiler) {
    profiler_ = profiler;
    runner_.set_profiler(profiler);
  }

 private:
  // --- admit: what callers asked for since the last step
  void admit() {
    if (commands_.empty()) return;
    const PhaseScope phase(profiler_, "admit");
    // The sink may ask for more meanwhile; that is for the next step.
    std::swap(commands_, taken_);
    for (Command& command : taken_) {
      if (auto* submitted = std::get_if<SubmitCommand>(&command))
        accept(*submitted);
      else
        end_outputs(std::get<FinishCommand>(command));
    }
    taken_.clear();
  }

  void check(const Request& request) const {
    const int64_t vocab = model_->config().vocab_size;
    request.sampling.validate(vocab, config_.max_logprobs);
    const std::vector<int32_t>& prompt = request.prompt_token_ids;
    if (prompt.empty()) throw Error("[request] the prompt has no tokens; send at least one");
    const auto bad =
        std::find_if(prompt.begin(), prompt.end(), [&](int32_t id) { return id < 0 || id >= vocab; });
    if (bad != prompt.end())
      throw Error("[request] prompt token {} is {}, but the vocabulary has ids 0 to {}; check the tokenizer",
                  bad - prompt.begin(), *bad, vocab - 1);
    const auto length = static_cast<int64_t>(prompt.size());
    const int64_t most = config_.max_model_len - (request.sampling.max_tokens == 0 ? 0 : 1);
    if (length > most)
      throw Error(
          "[request] the prompt has {} tokens, at most {} fit with --max-model-len {}; shorten it or raise "
          "the limit",
          length, most, config_.max_model_len);
  }

  void accept(SubmitCommand& command) {
    const int32_t outputs = std::clamp(command.request.sampling.n, 1, SamplingParams::kMaxOutputs);
    try {
      check(command.request);
    } catch (const Error& error) {
      for (int32_t output = 0; output < outputs; ++output) refuse(command, output, error.what());
      return;
    }
    auto state = std::make_unique<RequestState>();
    state->id = command.id;
    state->request = std::move(command.request);
    state->arrival = command.arrival;
    state->unfinished = outputs;
    for (int32_t output = 0; output < outputs; ++output) {
      state->outputs.push_back(make_sequence(*state, output, config_.max_model_len, config_.seed));
      waiting_.push_back(state->outputs.back().get());  // ids ascend
    }
    requests_.emplace(command.id, std::move(state));
  }

  void refuse(const SubmitCommand& command, int32_t output, const char* why) {
    OutputEvent& event = fresh_event(command.id, output);
    event.finish_reason = FinishReason::error;
    event.error = why;
    event.metrics.prompt_tokens = static_cast<int64_t>(command.request.prompt_token_ids.size());
    sink_(event);
  }

  void end_outputs(const FinishCommand& command) {
    const auto found = requests_.find(command.request);
    if (found == requests_.end()) return;
    // The request goes away with its last output.
    const auto outputs = static_cast<int32_t>(found->second->outputs.size());
    for (int32_t output = 0; output < outputs; ++output) {
      const auto request = requests_.find(command.request);
      if (request == requests_.end()) return;
      Sequence* sequence = request->second->outputs[static_cast<size_t>(output)].get();
      if (sequence == nullptr || (command.output >= 0 && command.output != output)) continue;
      OutputEvent& event = fresh_event(command.request, output);
      retire(*sequence, command.reason, command.keep_tokens, event);
      sink_(event);
    }
  }

  // --- schedule
  void decide() {
    const PhaseScope phase(profiler_, "schedule");
    running_view_.clear();
    waiting_view_.clear();
    for (const Sequence* sequence : running_) running_view_.push_back(sequence->view());
    const size_t window =
        std::min(waiting_.size(), kWindowFactor * static_cast<size_t>(config_.max_num_seqs));
    for (size_t i = 0; i < window; ++i) waiting_view_.push_back(waiting_[i]->view());
    schedule({.running = running_view_,
              .waiting = waiting_view_,
              .free_blocks = pool_.free(),
              .total_blocks = pool_.total(),
              .block_size = config_.block_size},
             budget_, decision_);
    for (uint64_t id : decision_.preempted) preempt(id);
    for (const Failed& failed : decision_.failed) {
      Sequence& sequence = find(failed.id);
      fail(sequence,
           failed.why == Unfit::blocks
               ? fmt::format("[kv cache] the sequence has {} tokens, the KV cache holds {}; shorten it or "
                             "give the cache more (--kv-cache-memory)",
                             sequence.length(), pool_.total() * config_.block_size)
               : fmt::format("[schedule] {} tokens fit into no step of at most {}; raise "
                             "--max-num-batched-tokens",
                             sequence.length(), budget_.max_num_batched_tokens));
    }
    const Clock::time_point now = Clock::now();
    batch_.clear();
    for (const Scheduled& scheduled : decision_.batch) {
      Sequence& sequence = find(scheduled.id);
      if (scheduled.admitted) {
        std::erase(waiting_, &sequence);
        running_.insert(std::upper_bound(running_.begin(), running_.end(), &sequence, by_id), &sequence);
        if (sequence.scheduled == Clock::time_point{}) sequence.scheduled = now;
        // All it may come to, so that decoding allocates nothing.
        sequence.tokens.reserve(static_cast<size_t>(sequence.max_length));
        sequence.blocks.reserve(static_cast<size_t>(sequence.max_length / config_.block_size + 1));
      }
      pool_.allocate(scheduled.new_blocks, sequence.blocks);
      batch_.push_back({&sequence, scheduled.tokens});
    }
  }

  void preempt(uint64_t id) {
    Sequence& sequence = find(id);
    release_blocks(sequence);
    sequence.computed = 0;
    ++sequence.preemptions;
    ++stats_.preemptions;
    std::erase(running_, &sequence);
    waiting_.insert(std::upper_bound(waiting_.begin(), waiting_.end(), &sequence, by_id), &sequence);
  }

  // --- plan, forward, sample: the runner; publish
  void run_batch() {
    if (batch_.empty()) return;
    StepCounts counts;
    try {
      runner_.run(batch_, config_.eos_token_ids, counts);
    } catch (const std::exception& error) {
      // Whose fault it was can't be told; the other requests go on.
      const std::string why = fmt::format("[step] {}", error.what());
      for (const BatchItem& item : batch_) fail(*item.sequence, why);
      return;
    }
    const PhaseScope phase(profiler_, "publish");
    stats_.steps += counts;
    const Clock::time_point now = Clock::now();
    for (size_t row = 0; row < batch_.size(); ++row) {
      Sequence& sequence = *batch_[row].sequence;
      sequence.steps += counts;
      publish(sequence, batch_[row].tokens, static_cast<int64_t>(row), now);
    }
  }

  void publish(Sequence& sequence, int64_t tokens, int64_t row, Clock::time_point now) {
    if (sequence.computed < sequence.prompt_length)
      stats_.prompt_tokens += std::min(tokens, sequence.prompt_length - sequence.computed);
    sequence.computed += tokens;
    if (sequence.computed < sequence.length()) return;
    OutputEvent& event = fresh_event(sequence.request->id, sequence.output);
    std::swap(event.prompt_scores, sequence.prompt_scores);
    if (sequence.length() < sequence.max_length) {
      const int32_t token = runner_.samples().token(row);
      if (token < 0) {
        fail(sequence,
             "[sample] the model gave no logit above -infinity; its weights, or a bias that forbids every "
             "token, are to blame");
        return;
      }
      sequence.append(token, now);
      event.token_ids.push_back(token);
      if (sequence.sampling().logprobs.has_value()) event.scores.push_back(runner_.samples().score(row));
      ++stats_.generated_tokens;
    }
    if (const FinishReason reason = sequence.ending(config_.eos_token_ids); reason != FinishReason::none)
      retire(sequence, reason, -1, event);
    sink_(event);
  }

  // --- the end of an output
  void fail(Sequence& sequence, const std::string& why) {
    OutputEvent& event = fresh_event(sequence.request->id, sequence.output);
    event.error = why;
    retire(sequence, FinishReason::error, -1, event);
    sink_(event);
  }

  // Frees all that the sequence holds, and the sequence; fills the last event.
  void retire(Sequence& sequence, FinishReason reason, int64_t keep_tokens, OutputEvent& event) {
    event.finish_reason = reason;
    const int64_t kept =
        keep_tokens < 0 ? sequence.output_length() : std::min(keep_tokens, sequence.output_length());
    event.metrics = sequence.metrics(Clock::now(), kept);
    release_blocks(sequence);
    std::erase(running_, &sequence);
    std::erase(waiting_, &sequence);
    RequestState& request = *sequence.request;
    request.outputs[static_cast<size_t>(sequence.output)].reset();
    if (--request.unfinished == 0) requests_.erase(request.id);
  }

  void release_blocks(Sequence& sequence) {
    pool_.release(sequence.blocks);
    sequence.blocks.clear();
  }

  OutputEvent& fresh_event(RequestId request, int32_t output) {
    event_.request = request;
    event_.output = output;
    event_.token_ids.clear();
    event_.scores.clear();
    event_.prompt_scores.clear();
    event_.finish_reason = FinishReason::none;
    event_.error.clear();
    event_.metrics = {};
    return event_;
  }

  Sequence& find(uint64_t id) {
    const auto output = static_cast<size_t>(id % SamplingParams::kMaxOutputs);
    return *requests_.at(id / SamplingParams::kMaxOutputs)->outputs[output];
  }
  static bool by_id(const Sequence* a, const Sequence* b) { return a->id < b->id; }

  std::unique_ptr<const models::Model> model_;
  EngineConfig config_;
  Budget budget_;
  EventSink sink_;
  Runner runner_;
  BlockPool pool_;
  Profiler* profiler_ = nullptr;

  RequestId next_id_ = 0;
  std::vector<Command> commands_;  // for the next step
  std::vector<Command> taken_;     // being carried out
  std::unordered_map<RequestId, std::unique_ptr<RequestState>> requests_;
  std::vector<Sequence*> running_;  // by id
  std::deque<Sequence*> waiting_;   // by id
  EngineStats stats_;
  std::vector<std::string> problems_;

  // Storage of a step, kept so that a steady step allocates nothing.
  std::vector<SeqState> running_view_, waiting_view_;
  Decision decision_;
  std::vector<BatchItem> batch_;
  OutputEvent event_;
};

Engine::Engine(std::unique_ptr<const models::Model> model, ThreadTeam& team, Isa isa,
               const EngineConfig& config, EventSink sink)
    : impl_(std::make_unique<Impl>(std::move(model), team, isa, config, std::move(sink))) {}
Engine::~Engine() = default;

RequestId Engine::submit(Request request) {
  return impl_->submit(std::move(request));
}
void Engine::abort(RequestId request) {
  impl_->finish({.request = request, .output = -1, .reason = FinishReason::abort, .keep_tokens = -1});
}
void Engine::finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens) {
  REPRISE_CHECK(output >= 0 && keep_tokens >= 0 && reason != FinishReason::none,
                "finish of output {} after {} tokens", output, keep_tokens);
  impl_->finish({.request = request, .output = output, .reason = reason, .keep_tokens = keep_tokens});
}
bool Engine::step() {
  return impl_->step();
}
void Engine::run() {
  while (step()) {
  }
}
bool Engine::idle() const {
  return impl_->idle();
}
const EngineConfig& Engine::config() const {
  return impl_->config();
}
const models::Model& Engine::model() const {
  return impl_->model();
}
MemoryReport Engine::memory() const {
  return impl_->runner().memory();
}
MemoryReport Engine::planned_memory() const {
  return impl_->runner().planned();
}
const GraphBackend& Engine::graph() const {
  return impl_->runner().graph();
}
const std::vector<std::string>& Engine::problems() const {
  return impl_->problems();
}
const VerifyStats& Engine::verified() const {
  return impl_->runner().verified();
}
bool Engine::capture_next() {
  return impl_->capture_next();
}
EngineStats Engine::stats() const {
  return impl_->stats();
}
void Engine::set_profiler(Profiler* profiler) {
  impl_->set_profiler(profiler);
}

}  // namespace reprise::engine
