// One call of LanguageModel::generate: prompts to engine requests, engine events to results.
#pragma once

#include <vector>

#include "api/output_text.h"
#include "api/text_model.h"
#include "engine/engine.h"
#include "reprise/reprise.h"

namespace reprise::api {

// Lives for one generate(); one thread. The engine's sink forwards its events to on_event().
class BatchRun {
 public:
  BatchRun(engine::Engine& engine, const TextModel& text, const std::vector<Prompt>& prompts,
           const StreamCallback& callback);

  std::vector<Result> run();
  void on_event(const engine::OutputEvent& event);

 private:
  struct OutputState {
    OutputText text;
    bool stopped = false;  // by a stop string or the callback: the engine was told, later tokens are dropped
  };
  struct PromptState {
    std::vector<OutputState> outputs;
  };

  std::vector<int32_t> prompt_ids(const Prompt& prompt) const;
  engine::SamplingParams sampling_params(const Sampling& sampling) const;
  void submit(size_t index);
  void append(size_t index, const engine::OutputEvent& event, std::string& new_text);

  engine::Engine& engine_;
  const TextModel& text_;
  const std::vector<Prompt>& prompts_;
  const StreamCallback& callback_;
  std::vector<PromptState> states_;
  std::vector<Result> results_;
  engine::RequestId first_id_ = 0;
  std::vector<size_t> prompt_of_request_;  // by request id - first_id_
};

}  // namespace reprise::api
