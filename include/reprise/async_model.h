// A language model for many threads at once: requests are submitted as they come and run together, each with callbacks
// of its own.
//
//   reprise::AsyncModel model = reprise::AsyncModel::load({.model = "/models/SmolLM2-135M-Instruct"});
//   std::future<reprise::Result> result = model.submit({.text = "Once upon a time"});
//   std::cout << result.get().outputs[0].text;
//
// Threads: every function may be called from any thread, also from within a callback, but for close() and the
// destructor. A prompt is rendered and encoded on the thread that submits it. Callbacks are called on one thread of the
// model, in the order of each request's events; they should return soon, since those of other requests wait behind them.
//
// Numbers and errors are those of reprise.h.
#pragma once

#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "reprise/reprise.h"

namespace reprise {

struct AsyncOptions {
  size_t max_open_requests = 16384;  // submitted and not complete
};

using RequestNumber = uint64_t;  // 0, 1, 2 ... in the order of submission

struct AsyncCallbacks {
  // News of an output (StreamEvent::prompt is 0). False ends that output with finish_reason "abort". May be empty.
  StreamCallback on_event = nullptr;
  // The request is complete: called once, whatever became of it, and the last thing that is called. Required.
  std::function<void(Result&& result)> on_result = nullptr;
};

// How busy a model is, as of its last step.
struct AsyncState {
  bool ok = true;
  std::string reason;   // where not ok: it was closed, or a step hangs
  int64_t running = 0;  // outputs
  int64_t waiting = 0;  // outputs without a place
  size_t open_requests = 0;
};

class AsyncModel {
 public:
  // Throws as LanguageModel::load().
  static AsyncModel load(const LoadOptions& options, const AsyncOptions& async = {});
  AsyncModel(AsyncModel&&) noexcept;
  AsyncModel& operator=(AsyncModel&&) noexcept;
  ~AsyncModel();  // closes

  // Throws Exception (context_too_long, queue_full at max_open_requests, closed, invalid), and std::bad_alloc. What the
  // engine finds wrong later, and a failure while it runs, is Result::error. A callback that throws aborts its request,
  // none of whose callbacks is called again.
  RequestNumber submit(const Prompt& prompt, AsyncCallbacks callbacks);
  // The same for who waits for the result.
  std::future<Result> submit(const Prompt& prompt);
  // Ends every output of the request with finish_reason "abort" and what it has. Unknown and complete ones are ignored.
  void cancel(RequestNumber request);

  // Aborts what is open, calls the last callbacks and ends the model's threads. From when it begins, submit() throws.
  void close();

  AsyncState state() const;
  std::vector<int32_t> encode(const std::string& text, bool add_special_tokens = true) const;
  std::string decode(const std::vector<int32_t>& token_ids, bool skip_special_tokens = true) const;
  bool has_tokenizer() const;
  Sampling default_sampling() const;
  const ModelInfo& info() const;
  // Waits until the step in progress is done.
  GraphReport graph_report();

 private:
  struct Impl;
  explicit AsyncModel(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace reprise
