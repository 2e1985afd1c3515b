// The public LanguageModel over the parts: config and weights, text model, engine, threads.
#include <atomic>
#include <memory>
#include <utility>

#include "api/batch_run.h"
#include "api/chat_fields.h"
#include "api/loaded_model.h"
#include "core/error.h"
#include "core/profiler.h"
#include "reprise/reprise.h"

namespace reprise {

struct LanguageModel::Impl {
  api::LoadedModel loaded;
  api::BatchRun* run = nullptr;      // the generate() in progress, which gets the engine's events
  engine::RequestId next_id = 0;     // of the next prompt
  std::atomic<bool> running{false};  // generate() is in progress
  std::unique_ptr<Profiler> profiler;
  class Running;
};

// Marks the model as busy for as long as it lives. Throws Error where it is already.
class LanguageModel::Impl::Running {
 public:
  Running(Impl& impl, const char* what) : impl_(impl) {
    if (impl_.running.exchange(true, std::memory_order_acquire))
      throw Error(
          "[{}] called while generate() is in progress, from a callback or from another thread; wait until "
          "it returns",
          what);
  }
  ~Running() {
    impl_.run = nullptr;
    impl_.running.store(false, std::memory_order_release);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Impl& impl_;
};

LanguageModel LanguageModel::load(const LoadOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->loaded = api::load_parts(options, [self = impl.get()](const engine::OutputEvent& event) {
    if (self->run != nullptr) self->run->on_event(event);
  });
  return LanguageModel(std::move(impl));
}

LanguageModel::LanguageModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LanguageModel::LanguageModel(LanguageModel&&) noexcept = default;
LanguageModel& LanguageModel::operator=(LanguageModel&&) noexcept = default;
LanguageModel::~LanguageModel() = default;

void LanguageModel::generate_from(const PromptSource& source, const GenerateOptions& options) {
  if (!source) throw Error("[generate] the source of prompts is empty; pass a function");
  const Impl::Running running(*impl_, "generate()");
  api::BatchRun run(*impl_->loaded.engine, impl_->loaded.text, impl_->next_id, source, options);
  impl_->run = &run;
  run.run();
}

std::vector<Result> LanguageModel::generate(const std::vector<Prompt>& prompts,
                                            const GenerateOptions& options) {
  constexpr const char* kNotBegun = "[generate] cancelled before this prompt began";
  std::vector<Result> results;
  GenerateOptions collecting = options;
  if (!options.on_result) {
    results.resize(prompts.size());
    for (Result& result : results) result.error = kNotBegun;
    collecting.on_result = [&results](size_t index, const Prompt&, Result&& result) {
      results[index] = std::move(result);
      return true;
    };
  }
  size_t next = 0;
  generate_from(
      [&](Prompt& prompt, bool) {
        if (next == prompts.size()) return PromptFeed::end;
        prompt = prompts[next++];
        return PromptFeed::prompt;
      },
      collecting);
  return results;
}

std::vector<Result> LanguageModel::generate(const std::vector<Prompt>& prompts,
                                            const StreamCallback& on_event) {
  return generate(prompts, GenerateOptions{.on_event = on_event});
}

std::vector<int32_t> LanguageModel::encode(const std::string& text, bool add_special_tokens) const {
  return impl_->loaded.text.tokenizer().encode(text, add_special_tokens);
}
std::string LanguageModel::decode(const std::vector<int32_t>& token_ids, bool skip_special_tokens) const {
  return impl_->loaded.text.tokenizer().decode(token_ids, skip_special_tokens);
}
bool LanguageModel::has_tokenizer() const {
  return impl_->loaded.text.has_tokenizer();
}

std::string LanguageModel::chat_prompt(const std::vector<Message>& messages) const {
  return impl_->loaded.text.render_chat(api::chat_request_of({.messages = messages})).text;
}

Sampling LanguageModel::default_sampling() const {
  return api::sampling_of(impl_->loaded.defaults);
}

ModelInfo LanguageModel::info() const {
  return impl_->loaded.info;
}

GraphReport LanguageModel::graph_report() const {
  return api::report_of(impl_->loaded, *impl_->loaded.engine);
}

void LanguageModel::start_trace() {
  const Impl::Running running(*impl_, "start_trace()");
  impl_->profiler = std::make_unique<Profiler>();
  impl_->loaded.engine->set_profiler(impl_->profiler.get());
}
void LanguageModel::stop_trace() {
  const Impl::Running running(*impl_, "stop_trace()");
  impl_->loaded.engine->set_profiler(nullptr);
}
void LanguageModel::write_trace(const std::string& path) const {
  if (!impl_->profiler) throw Error("[trace] start_trace() was not called");
  impl_->profiler->write_chrome_trace(path);
}
std::string LanguageModel::trace_summary() const {
  return impl_->profiler ? impl_->profiler->summary() : "";
}
double LanguageModel::trace_overhead_us() const {
  return impl_->profiler ? impl_->profiler->host_us_per_decode_step() : 0;
}

const char* version() {
  return "0.1.0";
}

}  // namespace reprise
