// One call of LanguageModel::generate: prompts to engine requests, engine events to results.
//
// Prompts are taken as the engine needs them, so that time to the first result and memory don't grow with
// their number. Between two steps: finished results are delivered, prompts are taken and encoded; within a
// step the engine's sink calls on_event().
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "api/prepare.h"
#include "api/result_builder.h"
#include "api/text_model.h"
#include "engine/engine.h"
#include "reprise/reprise.h"

namespace reprise::api {

// Lives for one generate(); one thread. Whatever leaves by an exception leaves the engine without requests.
class BatchRun {
 public:
  // `next_id`: number of the next request; raised by one for each prompt taken, whether it runs or not, so
  // that a prompt's random numbers (where it gives no seed) don't depend on errors of others.
  BatchRun(engine::Engine& engine, const TextModel& text, engine::RequestId& next_id,
           const PromptSource& source, const GenerateOptions& options);
  ~BatchRun();
  BatchRun(const BatchRun&) = delete;
  BatchRun& operator=(const BatchRun&) = delete;

  // Throws what a callback or the source throws.
  void run();
  // For the engine's sink. Events of requests that are not of this run are ignored.
  void on_event(const engine::OutputEvent& event);

 private:
  struct Active {
    size_t index;  // of the prompt
    Prompt prompt;
    ResultBuilder result;
  };

  bool may_take() const;
  void take_prompts();
  void start(Prompt prompt);
  void deliver();
  void cancel();

  void ask(engine::RequestId id, const OutputDelta& delta);

  engine::Engine& engine_;
  const TextModel& text_;
  const PrepareLimits limits_;
  engine::RequestId& next_id_;
  const PromptSource& source_;
  const GenerateOptions& options_;

  std::map<engine::RequestId, std::unique_ptr<Active>> active_;  // not delivered yet; by prompt
  std::vector<engine::RequestId> done_;                          // of these, the ones that are complete
  size_t open_outputs_ = 0;                                      // of all others
  size_t taken_ = 0;                                             // prompts
  bool at_end_ = false;                                          // of the prompts
  bool cancelled_ = false;
  bool callback_failed_ = false;  // a callback threw; run() is about to
  bool complete_ = false;
};

}  // namespace reprise::api
