#include "engine/engine.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <deque>
#include <exception>
#include <limits>
#include <new>
#include <utility>
#include <variant>

#include "core/error.h"
#include "core/failure.h"
#include "engine/follower.h"
#include "engine/kv/kv_store.h"
#include "engine/runner/memory_advice.h"
#include "engine/runner/runner.h"
#include "engine/scheduling/prefill_pace.h"
#include "engine/scheduling/request_table.h"
#include "engine/scheduling/schedule_view.h"
#include "engine/scheduling/sequence.h"
#include "engine/step/phase.h"
#include "engine/step/plan_bytes.h"
#include "engine/step/plan_step.h"
#include "models/model.h"

namespace reprise::engine {
namespace {

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
struct HoldCommand {
  RequestId request;
  bool held;
};
using Command = std::variant<SubmitCommand, FinishCommand, HoldCommand>;

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
Runner make_runner(const models::Model& model, const EngineServices& services, const EngineConfig& resolved,
                   const EngineConfig& asked) {
  const size_t memory = services.device.available_bytes() + model.weight_bytes();
  try {
    return Runner(model, services, resolved, memory);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::does_not_fit) throw;
    throw Error(ErrorCode::does_not_fit, "{}; to make it fit: {}", error.what(),
                fmt::join(memory_advice(model, services, asked, memory), ", or "));
  }
}

}  // namespace

// State that must stay consistent is in RequestTable; this class decides, runs and reports. What it calls may
// throw at any place (a sink, the model's code, an allocation):
//  - the sink: emit() keeps the exception for the end of the step and abandons the request;
//  - a request that is accepted, a sequence that needs memory, a step: an error event for whom it concerns;
//  - anything else: every request is failed and the table cleared.
class Engine::Impl {
 public:
  Impl(std::unique_ptr<const models::Model> model, const EngineServices& services, const EngineConfig& config,
       EventSink sink)
      : model_(std::move(model)),
        config_(checked(config, *model_)),
        budget_(budget_of(config_)),
        pace_(config_.target_itl_s),
        sink_(std::move(sink)),
        communicator_(services.communicator),
        runner_(make_runner(*model_, services, config_, config)),
        table_(runner_.planned().num_kv_blocks, config_.max_num_seqs,
               config_.enable_prefix_caching ? config_.block_size : 0),
        view_(config_.max_num_seqs, config_.block_size) {
    if (!sink_) throw Error("[engine] the event sink is empty; pass a function");
    const auto most = static_cast<size_t>(config_.max_num_seqs);
    batch_.reserve(most);
    plan_.reserve(step_limits(config_), config_.max_model_len / config_.block_size + 1);
    decision_.batch.reserve(most);
    decision_.preempted.reserve(view_.most());
    decision_.failed.reserve(view_.most());
    event_.token_ids.reserve(1);
    event_.error.reserve(kErrorReserve);
    if (communicator_ != nullptr && communicator_->rank() != 0)
      throw Error("[engine] this is rank {}; only rank 0 takes requests, the others call follow()",
                  communicator_->rank());
    tell_decisions(services.device);
    if (config_.graph.capture_before_ready || config_.graph.verify.startup)
      while (capture_next()) {
      }
    if (config_.graph.verify.startup) {
      // Of kernels that are still being compiled it would see the interpreter alone.
      if (services.compiler != nullptr) services.compiler->settle();
      problems_ = runner_.verify_captures();
    }
  }

  ~Impl() { tell_the_end(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  RequestId submit(Request request) {
    const RequestId id = next_id_;
    submit_as(id, std::move(request));
    return id;
  }
  void submit_as(RequestId id, Request request) {
    if (id < next_id_ || id > kMaxRequestId)
      throw Error("[submit] request number {} is not above all before it ({} is the next); count upwards", id,
                  next_id_);
    commands_.emplace_back(SubmitCommand{id, std::move(request), Clock::now()});
    next_id_ = id + 1;
  }
  void finish(const FinishCommand& command) { commands_.emplace_back(command); }
  void hold(const HoldCommand& command) { commands_.emplace_back(command); }

  void abort_all() noexcept {
    commands_.clear();
    forget_ = true;
    if (!in_step_) forget_if_asked();
  }

  bool step() {
    bool more = true;
    as_step([&] { more = step_once(); });
    return more;
  }
  void settle() {
    as_step([&] {
      end_overdue();
      admit();
    });
  }
  void release_memory() {
    check_not_in_step();
    while (!table_.running().empty()) preempt(*table_.running().back());
    while (!table_.held().empty()) preempt(**table_.held().begin());
    table_.forget_cached();
    runner_.discard();
  }
  bool idle() const { return commands_.empty() && table_.requests().empty(); }

  const EngineConfig& config() const { return config_; }
  const models::Model& model() const { return *model_; }
  const Runner& runner() const { return runner_; }
  const std::vector<std::string>& problems() const { return problems_; }
  // A piece of the captures without a step.
  bool capture_next() {
    if (runner_.graph().stats().pending == 0) return false;
    plan_.clear();
    plan_.captures = true;
    tell_plan();
    return runner_.graph().capture_next();
  }
  EngineStats stats() const {
    EngineStats out = stats_;
    out.running = static_cast<int64_t>(table_.running().size());
    out.waiting = static_cast<int64_t>(table_.waiting().size()) + table_.held_count();
    out.free_blocks = table_.pool().free();
    out.cached_blocks = table_.pool().cached();
    return out;
  }
  void set_max_waiting(std::optional<std::chrono::milliseconds> time) {
    max_waiting_ = time;
    if (time)
      overdue_ = fmt::format(
          "[queue] the request waited {} s for a place, as long as --max-waiting-time allows; try again later",
          static_cast<double>(time->count()) / 1000);
  }
  std::optional<Clock::time_point> next_due() const {
    return arrivals_.empty() ? std::nullopt : std::optional(arrivals_.front().due);
  }
  void set_profiler(Profiler* profiler) {
    profiler_ = profiler;
    runner_.set_profiler(profiler);
  }

 private:
  void check_not_in_step() const {
    if (in_step_) throw Error("[engine] it was called from within an event sink; let the sink return first");
  }
  // What step() and settle() promise, whatever throws.
  template <typename Work>
  void as_step(const Work& work) {
    check_not_in_step();
    in_step_ = true;
    try {
      work();
      table_.sweep();
    } catch (...) {
      count_broken_step();
      fail_everything(current_failure("engine"));
    }
    forget_if_asked();
    in_step_ = false;
    if (sink_failure_ != nullptr) std::rethrow_exception(std::exchange(sink_failure_, nullptr));
  }

  bool step_once() {
    end_overdue();
    admit();
    if (table_.running().empty() && table_.waiting().empty()) return !commands_.empty();
    decide();
    if (batch_.empty()) {
      capture_next();
    } else {
      run_batch();
      if (plan_.captures) runner_.graph().capture_next();
    }
    return true;
  }

  // --- waiting: the first to arrive is due first
  void end_overdue() {
    for (; !arrivals_.empty(); arrivals_.pop_front()) {
      const auto [id, due] = arrivals_.front();
      const RequestState* request = table_.find(id);
      if (request == nullptr || request->begun) continue;
      if (Clock::now() < due) return;
      for_each_output(id, [&](Sequence& sequence) { fail(sequence, overdue_); });
    }
  }

  // --- admit: what callers asked for since the last step
  void admit() {
    if (commands_.empty()) return;
    const PhaseScope phase(profiler_, "admit");
    // The sink may ask for more meanwhile; that is for the next step.
    std::swap(commands_, taken_);
    for (Command& command : taken_) {
      if (forget_) break;
      if (auto* submitted = std::get_if<SubmitCommand>(&command))
        accept(*submitted);
      else if (const auto* hold = std::get_if<HoldCommand>(&command))
        set_held(*hold);
      else
        end_outputs(std::get<FinishCommand>(command));
    }
    taken_.clear();
  }

  void check(const Request& request) const {
    const int64_t vocab = model_->config().vocab_size;
    request.sampling.validate(vocab, config_.max_logprobs);
    if (request.cache_salt.size() > Request::kMaxCacheSalt)
      throw Error(
          "[request] the cache salt has {} bytes, expected at most {}; shorten it (a hash of it will do)",
          request.cache_salt.size(), Request::kMaxCacheSalt);
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
    if (const int64_t held = table_.pool().total() * config_.block_size; length > held)
      throw Error(
          "[request] the prompt has {} tokens, the whole KV cache holds {}; shorten it or give the cache "
          "more (--kv-cache-memory)",
          length, held);
  }

  void accept(SubmitCommand& command) noexcept {
    const int32_t outputs = std::clamp(command.request.sampling.n, 1, SamplingParams::kMaxOutputs);
    const auto prompt_tokens = static_cast<int64_t>(command.request.prompt_token_ids.size());
    try {
      check(command.request);
      auto state = std::make_unique<RequestState>();
      state->id = command.id;
      state->request = std::move(command.request);
      state->arrival = command.arrival;
      state->unfinished = outputs;
      for (int32_t output = 0; output < outputs; ++output)
        state->outputs.push_back(make_sequence(*state, output, config_.max_model_len, config_.seed));
      if (max_waiting_ && !state->request.waits_for_ever)
        arrivals_.push_back({state->id, state->arrival + *max_waiting_});
      table_.add(std::move(state));
    } catch (const Error& error) {
      refuse(command.id, outputs, prompt_tokens, error.what());
    } catch (...) {
      refuse(command.id, outputs, prompt_tokens, current_failure("request"));
    }
  }

  void refuse(RequestId id, int32_t outputs, int64_t prompt_tokens, std::string_view why) noexcept {
    for (int32_t output = 0; output < outputs; ++output) {
      OutputEvent& event = fresh_event(id, output);
      event.finish_reason = FinishReason::error;
      set_error(why);
      event.metrics.prompt_tokens = prompt_tokens;
      if (!emit()) return;
    }
  }

  void end_outputs(const FinishCommand& command) {
    for_each_output(command.request, [&](Sequence& sequence) {
      if (command.output >= 0 && command.output != sequence.output) return;
      fresh_event(command.request, sequence.output);
      retire(sequence, command.reason, command.keep_tokens);
      emit();
    });
  }

  void set_held(const HoldCommand& command) {
    for_each_output(command.request, [&](Sequence& sequence) {
      if (command.held)
        table_.hold(sequence);
      else if (table_.let_go(sequence))
        ++stats_.preemptions;
    });
  }

  // Of those that are not finished. `action` may end the output; the request goes away with its last one.
  template <typename Action>
  void for_each_output(RequestId id, const Action& action) {
    const RequestState* request = table_.find(id);
    if (request == nullptr) return;
    const size_t outputs = request->outputs.size();
    for (size_t output = 0; output < outputs; ++output) {
      request = table_.find(id);
      if (request == nullptr) return;
      if (Sequence* sequence = request->outputs[output].get()) action(*sequence);
    }
  }

  // --- schedule
  void decide() {
    const PhaseScope phase(profiler_, "schedule");
    budget_.max_prefill_tokens = pace_.most_prefill_tokens();
    schedule(view_.look(table_), budget_, decision_);
    for (uint64_t id : decision_.preempted) preempt(table_.sequence(id));
    for (const Failed& failed : decision_.failed) {
      Sequence& sequence = table_.sequence(failed.id);
      try {
        end_unfit(sequence, failed.why);
      } catch (const std::bad_alloc&) {  // of the message: the sequence is still there
        fail(sequence, current_failure("schedule"));
      }
    }
    const Clock::time_point now = Clock::now();
    batch_.clear();
    // Cached blocks are taken before any block is allocated, which may be given one of them otherwise.
    for (const Scheduled& scheduled : decision_.batch)
      if (scheduled.admitted) take_prefix(scheduled);
    for (const Scheduled& scheduled : decision_.batch) {
      Sequence* const sequence = table_.find_sequence(scheduled.id);
      if (sequence == nullptr || sequence->request->abandoned) continue;
      if (prepare(*sequence, scheduled, now)) batch_.push_back({sequence, scheduled.tokens});
    }
  }

  void preempt(Sequence& sequence) {
    table_.preempt(sequence);
    ++stats_.preemptions;
  }

  // A sequence that outgrew the whole KV cache ends with what it has; one that no step can hold never began.
  void end_unfit(Sequence& sequence, Unfit why) {
    if (why == Unfit::blocks && sequence.output_length() > 0) {
      fresh_event(sequence.request->id, sequence.output);
      retire(sequence, FinishReason::length, -1);
      emit();
    } else if (why == Unfit::blocks) {
      fail(sequence,
           fmt::format("[kv cache] the sequence has {} tokens, the KV cache holds {}; shorten it or give the "
                       "cache more (--kv-cache-memory)",
                       sequence.length(), table_.pool().total() * config_.block_size));
    } else {
      fail(sequence, fmt::format("[schedule] {} tokens fit into no step of at most {}; raise "
                                 "--max-num-batched-tokens",
                                 sequence.length(), budget_.max_num_batched_tokens));
    }
  }

  // It has failed where there is no memory for it.
  void take_prefix(const Scheduled& scheduled) {
    Sequence& sequence = table_.sequence(scheduled.id);
    if (sequence.request->abandoned) return;
    try {
      // So that decoding hardly ever allocates. Not all that a long limit allows: nobody counts this memory.
      sequence.tokens.reserve(
          static_cast<size_t>(std::min(sequence.max_length, sequence.length() + kReservedTokens)));
      sequence.blocks.reserve(static_cast<size_t>(sequence.max_length / config_.block_size + 1));
    } catch (const std::bad_alloc&) {
      fail(sequence, current_failure("schedule"));
      return;
    }
    table_.share_prefix(sequence, scheduled.cached_blocks);
    if (sequence.scheduled != Clock::time_point{}) return;  // it was preempted
    sequence.found_tokens = std::min(sequence.computed, sequence.prompt_length);
    if (!table_.pool().caches() || sequence.wants_prompt_scores()) return;
    ++stats_.prefix_requests;
    stats_.prefix_hits += sequence.found_tokens > 0 ? 1 : 0;
    stats_.prefix_tokens += sequence.prompt_length;
    stats_.prefix_hit_tokens += sequence.found_tokens;
  }

  // Whether it has the blocks and the memory to run; it has failed otherwise.
  bool prepare(Sequence& sequence, const Scheduled& scheduled, Clock::time_point now) {
    try {
      table_.allocate_for(sequence, scheduled.new_blocks);
    } catch (const std::bad_alloc&) {
      fail(sequence, current_failure("schedule"));
      return false;
    }
    if (!scheduled.admitted) return true;
    table_.admit(sequence);
    sequence.request->begun = true;
    if (sequence.scheduled == Clock::time_point{}) sequence.scheduled = now;
    return true;
  }

  // --- other ranks, which run what this one decides (follower.h)
  void tell_decisions(const Device& device) {
    if (communicator_ == nullptr) return;
    message_ = to_bytes(StartDecisions{.level = std::string(device.level()),
                                       .num_kv_blocks = runner_.planned().num_kv_blocks,
                                       .graph_opt_level = config_.graph.graph_opt_level,
                                       .use_cudagraph = config_.graph.use_cudagraph});
    communicator_->broadcast(message_);
  }
  void tell_plan() {
    if (communicator_ == nullptr) return;
    write_bytes(plan_, message_);
    communicator_->broadcast(message_);
  }
  void tell_the_end() noexcept {
    if (communicator_ == nullptr) return;
    try {
      message_.clear();
      communicator_->broadcast(message_);
    } catch (...) {  // a rank that is gone needs no end
    }
  }

  // --- plan, forward, sample: the runner; publish
  void run_batch() {
    StepCounts counts;
    const Clock::time_point began = Clock::now();
    try {
      {
        const PhaseScope phase(profiler_, "plan");
        plan_step(batch_, config_.eos_token_ids, model_->config().vocab_size, plan_);
        plan_.path = runner_.graph().choose(plan_.shape);
        plan_.captures = runner_.graph().stats().pending > 0;
        count(plan_.path, counts);
      }
      tell_plan();
      runner_.run(plan_);
    } catch (...) {
      count_broken_step();
      // Whose fault it was can't be told; the other requests go on.
      const std::string why = current_failure("step");
      for (const BatchItem& item : batch_) fail(*item.sequence, why);
      return;
    }
    const PhaseScope phase(profiler_, "publish");
    stats_.steps += counts;
    stats_.broken_steps = 0;
    const Clock::time_point now = Clock::now();
    pace_.add(plan_.shape.decode_tokens, plan_.shape.prefill_tokens,
              std::chrono::duration<double>(now - began).count());
    std::span<TokenScore> scores = runner_.scores();
    for (size_t row = 0; row < batch_.size(); ++row) {
      Sequence& sequence = *batch_[row].sequence;
      sequence.steps += counts;
      const ScoredPositions scored = scored_positions(batch_[row]);
      const std::span<TokenScore> own = scores.first(static_cast<size_t>(scored.end - scored.begin));
      scores = scores.subspan(own.size());
      try {
        take_scores(batch_[row], own);
        publish(sequence, batch_[row].tokens, static_cast<int64_t>(row), now);
      } catch (const std::bad_alloc&) {
        fail(sequence, current_failure("step"));
      }
    }
  }

  // The prompt's log-probabilities that the item's step computed. Throws bad_alloc.
  static void take_scores(const BatchItem& item, std::span<TokenScore> scores) {
    if (scores.empty()) return;
    Sequence& sequence = *item.sequence;
    const auto [begin, end] = scored_positions(item);
    sequence.prompt_scores.insert(sequence.prompt_scores.end(), scores.begin(), scores.end());
    for (size_t i = 0; i < scores.size(); ++i)
      if (scores[i].token_id < 0 && sequence.nan_at < 0) sequence.nan_at = begin + static_cast<int64_t>(i);
    sequence.prompt_scored = end;
  }

  // Throws bad_alloc only, and before the event is out.
  void publish(Sequence& sequence, int64_t tokens, int64_t row, Clock::time_point now) {
    if (sequence.computed < sequence.prompt_length)
      stats_.prompt_tokens += std::min(tokens, sequence.prompt_length - sequence.computed);
    sequence.computed += tokens;
    table_.cache_filled(sequence);
    if (sequence.nan_at >= 0) {  // found while the prompt was scored
      fail_without_number(sequence, sequence.nan_at);
      return;
    }
    if (sequence.computed < sequence.length()) return;
    OutputEvent& event = fresh_event(sequence.request->id, sequence.output);
    event.cached_tokens = sequence.found_tokens;
    std::swap(event.prompt_scores, sequence.prompt_scores);
    if (sequence.length() < sequence.max_length) {
      const int32_t token = runner_.samples().token(row);
      if (token == SampleRow::kNotANumber) {
        fail_without_number(sequence, sequence.length() - 1);
        return;
      }
      if (token < 0) {
        fail(sequence,
             !sequence.mask_failure.empty() ? sequence.mask_failure
             : sequence.request->request.token_mask
                 ? "[sample] the token mask and the biases forbid every token that the model can give"
                 : "[sample] the model gave no logit above -infinity; its weights, or a bias that "
                   "forbids every token, are to blame");
        return;
      }
      if (sequence.sampling().logprobs.has_value()) event.scores.push_back(runner_.samples().score(row));
      sequence.append(token, now);
      event.token_ids.push_back(token);
      ++stats_.generated_tokens;
    }
    if (const FinishReason reason = sequence.ending(config_.eos_token_ids); reason != FinishReason::none)
      retire(sequence, reason, -1);
    emit();
  }

  // --- the end of an output
  void fail(Sequence& sequence, std::string_view why) {
    fresh_event(sequence.request->id, sequence.output);
    set_error(why);
    retire(sequence, FinishReason::error, -1);
    emit();
  }

  void fail_without_number(Sequence& sequence, int64_t position) {
    fail(sequence,
         fmt::format("[sample] the model gave NaN or infinity as logits after token {} of prompt and "
                     "output (the prompt has {}); its weights are likely damaged: check the file, or "
                     "try --dtype float32",
                     position + 1, sequence.prompt_length));
  }

  // Frees all that the sequence holds, and the sequence; makes the event its last.
  void retire(Sequence& sequence, FinishReason reason, int64_t keep_tokens) {
    end_event(sequence, reason, keep_tokens);
    table_.remove(sequence);
  }

  void end_event(const Sequence& sequence, FinishReason reason, int64_t keep_tokens) noexcept {
    event_.finish_reason = reason;
    event_.cached_tokens = sequence.found_tokens;
    const int64_t kept =
        keep_tokens < 0 ? sequence.output_length() : std::min(keep_tokens, sequence.output_length());
    event_.metrics = sequence.metrics(Clock::now(), kept);
  }

  // Within a catch block. What a request asks for, or lacks memory for, breaks nothing.
  void count_broken_step() noexcept {
    try {
      throw;
    } catch (const InternalError&) {
      ++stats_.broken_steps;
    } catch (...) {
    }
  }

  // After an exception that nothing expects: the last event of every output, then a fresh start.
  void fail_everything(std::string_view why) noexcept {
    for (const auto& [id, request] : table_.requests())
      for (const std::unique_ptr<Sequence>& output : request->outputs) {
        if (output == nullptr) continue;
        fresh_event(id, output->output);
        set_error(why);
        end_event(*output, FinishReason::error, -1);
        emit();
      }
    table_.clear();
    taken_.clear();
  }

  void forget_if_asked() noexcept {
    if (std::exchange(forget_, false)) table_.clear();
  }

  // --- events
  OutputEvent& fresh_event(RequestId request, int32_t output) noexcept {
    event_.request = request;
    event_.output = output;
    event_.token_ids.clear();
    event_.scores.clear();
    event_.prompt_scores.clear();
    event_.cached_tokens = 0;
    event_.finish_reason = FinishReason::none;
    event_.error.clear();
    event_.metrics = {};
    return event_;
  }

  void set_error(std::string_view why) noexcept {
    try {
      event_.error.assign(why);
    } catch (const std::bad_alloc&) {
      event_.error.assign(kShortNoMemory);
    }
  }

  // Hands the event to the sink. False where nobody takes events of this request any more.
  bool emit() noexcept {
    RequestState* request = table_.find(event_.request);
    if (forget_ || (request != nullptr && request->abandoned)) return false;
    try {
      sink_(event_);
      return true;
    } catch (...) {
      if (sink_failure_ == nullptr) sink_failure_ = std::current_exception();
    }
    if (request != nullptr) table_.abandon(*request);
    return false;
  }

  static constexpr size_t kErrorReserve = 512;
  static constexpr int64_t kReservedTokens = 4096;
  static constexpr RequestId kMaxRequestId =
      std::numeric_limits<uint64_t>::max() / SamplingParams::kMaxOutputs - 1;

  std::unique_ptr<const models::Model> model_;
  EngineConfig config_;
  Budget budget_;
  PrefillPace pace_;
  EventSink sink_;
  Communicator* communicator_;      // null: alone
  std::vector<std::byte> message_;  // to the other ranks
  Runner runner_;
  RequestTable table_;
  Profiler* profiler_ = nullptr;

  std::optional<std::chrono::milliseconds> max_waiting_;
  std::string overdue_;  // what those are told who waited longer
  struct Arrival {
    RequestId id;
    Clock::time_point due;
  };
  std::deque<Arrival> arrivals_;  // of requests that may not wait for ever; those that began or ended too

  RequestId next_id_ = 0;
  std::vector<Command> commands_;  // for the next step
  std::vector<Command> taken_;     // being carried out
  EngineStats stats_;
  std::vector<std::string> problems_;

  bool in_step_ = false;
  bool forget_ = false;              // abort_all() was called within a step
  std::exception_ptr sink_failure_;  // the first of this step

  // Storage of a step, kept so that a steady step allocates nothing.
  ScheduleView view_;
  Decision decision_;
  std::vector<BatchItem> batch_;
  StepPlan plan_;
  OutputEvent event_;
};

Engine::Engine(std::unique_ptr<const models::Model> model, const EngineServices& services,
               const EngineConfig& config, EventSink sink)
    : impl_(std::make_unique<Impl>(std::move(model), services, config, std::move(sink))) {}
Engine::~Engine() = default;

RequestId Engine::submit(Request request) {
  return impl_->submit(std::move(request));
}
void Engine::submit_as(RequestId id, Request request) {
  impl_->submit_as(id, std::move(request));
}
void Engine::abort_all() noexcept {
  impl_->abort_all();
}
void Engine::abort(RequestId request) {
  impl_->finish({.request = request, .output = -1, .reason = FinishReason::abort, .keep_tokens = -1});
}
void check_finish(int32_t output, FinishReason reason, int64_t keep_tokens) {
  if (output < 0 || output >= SamplingParams::kMaxOutputs)
    throw Error("[finish] output {}, expected 0 to {}; outputs are numbered within their request", output,
                SamplingParams::kMaxOutputs - 1);
  if (keep_tokens < 0) throw Error("[finish] {} tokens are to be kept, expected 0 or more", keep_tokens);
  if (reason != FinishReason::stop && reason != FinishReason::length && reason != FinishReason::abort)
    throw Error("[finish] finish reason number {}, expected stop, length or abort", static_cast<int>(reason));
}
void Engine::finish(RequestId request, int32_t output, FinishReason reason, int64_t keep_tokens) {
  check_finish(output, reason, keep_tokens);
  impl_->finish({.request = request, .output = output, .reason = reason, .keep_tokens = keep_tokens});
}
void Engine::hold(RequestId request) {
  impl_->hold({.request = request, .held = true});
}
void Engine::let_go(RequestId request) {
  impl_->hold({.request = request, .held = false});
}
bool Engine::step() {
  return impl_->step();
}
void Engine::settle() {
  impl_->settle();
}
void Engine::release_memory() {
  impl_->release_memory();
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
void Engine::set_max_waiting(std::optional<std::chrono::milliseconds> time) {
  impl_->set_max_waiting(time);
}
std::optional<std::chrono::steady_clock::time_point> Engine::next_due() const {
  return impl_->next_due();
}
void Engine::set_profiler(Profiler* profiler) {
  impl_->set_profiler(profiler);
}

}  // namespace reprise::engine
