#include "cli/answerer.h"

#include <cstdio>
#include <random>

#include "cli/command_line.h"
#include "cli/interrupt.h"
#include "cli/machine.h"
#include "cli/model_flags.h"
#include "cli/remote_answer.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::cli {
namespace {

class LocalAnswerer final : public Answerer {
 public:
  LocalAnswerer(const LoadOptions& load, const ChatFlags& chat, const SamplingFlags& sampling,
                std::optional<uint64_t> seed)
      : model_(load_model(load)), chat_(chat), sampling_(sampling.over(model_.default_sampling())) {
    if (!sampling_.seed) sampling_.seed = seed;
  }

  Answer answer(const Question& question, const std::function<bool(std::string_view)>& on_text) override {
    Prompt prompt{.text = question.text, .messages = question.messages, .sampling = sampling_};
    chat_.complete(prompt);
    const Result result = model_.generate({prompt}, [&](const StreamEvent& event) {
      return on_text(event.text) && InterruptGuard::caught() == 0;
    })[0];
    if (!result.error.empty()) return {.error = result.error};
    const Output& output = result.outputs[0];
    return {.text = output.text,
            .finish_reason = output.finish_reason,
            .prompt_tokens = static_cast<int64_t>(result.prompt_token_ids.size()),
            .output_tokens = static_cast<int64_t>(output.token_ids.size()),
            .first_token_s = result.metrics.time_to_first_token_s,
            .tokens_per_s = result.metrics.decode_tokens_per_s,
            .note = "; memory " + size_text(peak_rss_bytes())};
  }

  std::string description() const override {
    const ModelInfo info = model_.info();
    return fmt::format(
        "{}, {:.0f} M parameters, {} weights {}, KV cache {}, {} on {} threads, ready in {:.2f} s",
        info.architecture, static_cast<double>(info.parameters) / 1e6, info.dtype,
        size_text(info.weight_bytes), size_text(info.kv_bytes), info.isa, info.threads, info.load_s);
  }

 private:
  LanguageModel model_;
  const ChatFlags& chat_;
  Sampling sampling_;
};

// A second conversation says something else. The seed is printed, so that the conversation can be repeated.
uint64_t drawn_seed() {
  const uint64_t seed = std::random_device{}();
  std::fprintf(stderr, "seed %llu (--seed %llu says the same again)\n", static_cast<unsigned long long>(seed),
               static_cast<unsigned long long>(seed));
  return seed;
}

}  // namespace

std::string Answer::summary() const {
  const char* end = finish_reason == "length"  ? "; ended at the length limit"
                    : finish_reason == "abort" ? "; interrupted"
                                               : "";
  return fmt::format("({} prompt tokens, {} new: {:.1f} tokens/s, first after {:.0f} ms{}{})", prompt_tokens,
                     output_tokens, tokens_per_s, first_token_s * 1000, note, end);
}

AnswererFlags::AnswererFlags(Command& command) {
  add_model_flags(command, load_, ModelFlag::optional);
  remote_.add(command);
  sampling_.emplace(command);
  require_one_model(command, load_, remote_, /*name_with_url=*/true);
}

std::unique_ptr<Answerer> AnswererFlags::open(bool draw_seed) const {
  if (remote_.url.empty()) {
    std::optional<uint64_t> seed;
    if (draw_seed && !sampling_->given().contains("seed")) seed = drawn_seed();
    return std::make_unique<LocalAnswerer>(load_, chat_, *sampling_, seed);
  }
  Json fields = sampling_->given();
  if (!chat_.chat_template_kwargs.empty())
    fields["chat_template_kwargs"] = parse_json(chat_.chat_template_kwargs, "--chat-template-kwargs");
  if (!chat_.tools.empty()) fields["tools"] = parse_json(chat_.tools, "--tools");
  auto answerer = make_remote_answerer(remote_.open(), load_.model, std::move(fields));
  if (draw_seed && !sampling_->given().contains("seed")) answerer->set_seed(drawn_seed());
  return answerer;
}

}  // namespace reprise::cli
