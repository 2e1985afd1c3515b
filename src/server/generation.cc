#include "server/generation.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/output_assembler.h"
#include "api/prepare.h"
#include "server/api_error.h"
#include "server/request_body.h"
#include "server/request_line.h"

namespace reprise::server {
namespace {

// Bytes of pieces that a client has not taken: at the first its request is held, at the second it goes on.
constexpr size_t kMostUnsent = size_t{1} << 20;
constexpr size_t kFewUnsent = size_t{256} << 10;

int64_t seconds_since_1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The engine would answer these with an event, when the status line is gone already.
void check_ids(const engine::Request& request, const ModelInfo& info, int64_t cache_tokens,
               const std::string& field) {
  if (request.prompt_token_ids.empty())
    throw ApiError(400, "the prompt is empty; it needs at least one token", "empty_prompt", field);
  for (const int32_t id : request.prompt_token_ids)
    if (id < 0 || id >= info.vocab_size)
      throw ApiError(400,
                     fmt::format("the prompt has the token id {}, expected 0 to {}", id, info.vocab_size - 1),
                     "bad_token_id", field);
  if (const auto length = static_cast<int64_t>(request.prompt_token_ids.size()); length > cache_tokens)
    throw ApiError(
        400,
        fmt::format("the prompt has {} tokens, and the KV cache of this server holds {}; shorten it", length,
                    cache_tokens),
        "context_length_exceeded", field);
}

// By the name that the endpoint has for it.
void check_logprobs(const Sampling& sampling, int32_t most, std::string_view field) {
  if (!sampling.logprobs || most < 0 || (*sampling.logprobs >= 0 && *sampling.logprobs <= most)) return;
  throw ApiError(400,
                 fmt::format("[{}] is {}, expected 0 to {}; ask for fewer or raise --max-logprobs", field,
                             *sampling.logprobs, most),
                 "invalid_value", std::string(field));
}

// What the engine refuses is the request's fault; anything else that goes wrong there is not.
ApiError engine_error(const std::string& message) {
  if (message.starts_with("[queue]")) return {503, message, "queue_timeout"};
  const bool refused = message.starts_with("[request]") || message.starts_with("[sampling]");
  return {refused ? 400 : 500, message, "engine_error"};
}

// Lives while somebody waits for it: the worker that prepares it, its requests' functions in the queue, the exchange.
class Generation final : public OpenRequest, public std::enable_shared_from_this<Generation> {
 public:
  Generation(Service& service, const GenerationForm& form, std::shared_ptr<Exchange> exchange)
      : service_(service), form_(form), exchange_(std::move(exchange)) {
    ++service_.open_requests;
    default_name_ = fmt::format("{:016x}", service_.next_id++);
  }
  ~Generation() override { --service_.open_requests; }
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  void start() {
    exchange_->on_gone([self = weak_from_this()] {
      if (const auto generation = self.lock()) generation->abandon();
    });
    entry_ = std::make_unique<OpenRequests::Entry>(service_.open, weak_from_this());
    add_names(default_name_);
    service_.prepare_pool.post([self = shared_from_this()] { self->prepare(); });
  }

  void abort(std::shared_ptr<AbortTicket> ticket) override {
    exchange_->post([self = shared_from_this(), ticket = std::move(ticket)] {
      if (self->ended_) return;
      self->tickets_.push_back(ticket);
      for (size_t i = 0; i < self->submitted_; ++i) self->service_.model.abort(self->parts_[i]->id);
    });
  }

 private:
  struct Part {
    explicit Part(api::PreparedRequest prepared_request)
        : prepared(std::move(prepared_request)), assembler(prepared) {}
    api::PreparedRequest prepared;
    api::OutputAssembler assembler;
    engine::RequestId id = 0;
  };

  // On a worker.
  void prepare() {
    std::optional<ApiError> failed;
    try {
      check_wanted();
      request_ = form_.parse(exchange_->request(), service_.model.default_sampling());
      if (request_.model.empty()) request_.model = service_.settings.model_names[0];
      check_model(service_.settings, request_.model);
      if (!request_.request_id.empty()) add_names(request_.request_id);
      if (service_.settings.request_log) logged_.emplace(draw_seeds(), request_.wants_logprobs);
      for (const Prompt& prompt : request_.prompts) {
        check_wanted();
        check_logprobs(prompt.sampling, service_.model.limits().max_logprobs, form_.logprobs_field);
        api::PreparedRequest prepared =
            api::prepare(service_.model.text(), prompt, service_.model.limits(), &cancelled_);
        check_ids(prepared.request, service_.model.info(), service_.model.limits().cache_tokens,
                  std::string(form_.prompt_field));
        prepared.request.priority = request_.priority;
        prepared.request.waits_for_ever = !parts_.empty();  // they wait for the first
        prompt_tokens_ += static_cast<int64_t>(prepared.request.prompt_token_ids.size());
        parts_.push_back(std::make_unique<Part>(std::move(prepared)));
      }
    } catch (const api::PromptTooLong& error) {
      failed.emplace(400, error.what(), "context_length_exceeded", std::string(form_.prompt_field));
    } catch (...) {
      failed.emplace(api_error_of_current());
    }
    exchange_->post([self = shared_from_this(), failed = std::move(failed)] {
      if (failed)
        self->fail(*failed);
      else
        self->submit();
    });
  }

  // A request that is to be run again needs seeds that stand in the log: of each prompt one, where it gave none.
  std::vector<uint64_t> draw_seeds() {
    std::vector<uint64_t> seeds;
    for (Prompt& prompt : request_.prompts) {
      if (prompt.sampling.seed || prompt.sampling.temperature == 0) return {};
      prompt.sampling.seed = seeds.emplace_back(service_.draw_seed());
    }
    return seeds;
  }

  void add_names(const std::string& name) {
    entry_->add_name(name);
    entry_->add_name(std::string(form_.id_prefix) + name);
  }

  void check_wanted() const {
    if (cancelled_) throw ApiError(503, "the client went away");
    if (service_.stopping) throw ApiError(503, "the server is shutting down", "draining");
  }

  // On the I/O thread, as all below.
  void submit() {
    if (exchange_->gone()) return end("abort");
    try {
      begin_writer();
      for (size_t i = 0; i < parts_.size(); ++i) {
        parts_[i]->id = service_.model.submit(
            std::move(parts_[i]->prepared.request), *service_.queues[exchange_->io_thread()],
            [self = shared_from_this(), i](std::vector<engine::OutputEvent>&& events) {
              self->take(i, events);
            });
        ++submitted_;
      }
      // The engine takes them in this order, so that whoever asked for an abort before gets the same end.
      if (!tickets_.empty())
        for (const auto& part : parts_) service_.model.abort(part->id);
      if (request_.stream) begin();
    } catch (...) {
      fail(service_.model.health().ok ? api_error_of_current()
                                      : ApiError(503, service_.model.health().reason, "draining"));
    }
  }

  void begin_writer() {
    std::vector<std::string> echoes;
    std::vector<std::vector<int32_t>> ids;
    for (const auto& part : parts_) {
      echoes.push_back(part->prepared.echo);
      ids.push_back(part->prepared.request.prompt_token_ids);
    }
    id_ = fmt::format("{}{}", form_.id_prefix,
                      request_.request_id.empty() ? default_name_ : request_.request_id);
    writer_ = form_.make_writer(
        request_,
        ReplyIdentity{.id = id_,
                      .created = seconds_since_1970(),
                      .model = request_.model,
                      .fingerprint = service_.model.info().fingerprint,
                      .tokenizer = service_.model.text().has_tokenizer() ? &service_.model.text().tokenizer()
                                                                         : nullptr},
        std::move(echoes), std::move(ids));
  }

  // The status goes out when the engine has the request: what is wrong with it was found before.
  void begin() {
    streaming_ = true;
    std::vector<HttpField> fields = reply_fields();
    fields.insert(fields.end(), {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}});
    std::string events;
    writer_->begin_stream(usage(), events);
    exchange_->begin({.body = std::move(events),
                      .content_type = "text/event-stream; charset=utf-8",
                      .fields = std::move(fields)},
                     ": keep-alive\n\n", std::chrono::seconds(service_.settings.keep_alive_interval));
  }

  std::vector<HttpField> reply_fields() const {
    std::vector<HttpField> fields = {{std::string(form_.id_field), id_}};
    add_ignored_field(request_.ignored, fields);
    return fields;
  }

  void take(size_t number, const std::vector<engine::OutputEvent>& events) {
    try {
      add(number, events);
    } catch (...) {
      fail(api_error_of_current());
    }
  }

  void add(size_t number, const std::vector<engine::OutputEvent>& events) {
    Part& part = *parts_[number];
    std::string chunks;
    for (const engine::OutputEvent& event : events) {
      api::OutputDelta& delta = part.assembler.take(event);
      if (delta.ask == api::OutputDelta::Ask::finish)
        service_.model.finish(part.id, delta.output, engine::FinishReason::stop, delta.keep_tokens);
      else if (delta.ask == api::OutputDelta::Ask::abort)
        service_.model.abort(part.id);
      if (ended_) continue;
      if (first_token_s_ == 0 && !delta.token_ids.empty()) first_token_s_ = exchange_->age_s();
      if (delta.finished) note(delta.metrics);
      if (logged_) logged_->add(number, static_cast<int64_t>(part.assembler.usage().prompt_tokens), delta);
      if (!delta.error.empty()) return fail(engine_error(delta.error));
      writer_->add(number, delta, usage(), chunks);
    }
    if (ended_) return;
    if (request_.stream) send(chunks);
    if (ended_) return;
    if (std::ranges::all_of(parts_, [](const auto& each) { return each->assembler.finished(); })) complete();
  }

  void send(const std::string& chunks) {
    if (chunks.empty()) return;
    exchange_->send(chunks);
    if (held_ || exchange_->unsent() <= kMostUnsent) return;
    held_ = true;
    for (const auto& part : parts_) service_.model.hold(part->id);
    exchange_->on_room(kFewUnsent, [self = weak_from_this()] {
      if (const auto generation = self.lock()) generation->go_on();
    });
  }

  void go_on() {
    held_ = false;
    if (ended_) return;
    try {
      for (const auto& part : parts_) service_.model.let_go(part->id);
    } catch (...) {  // no memory: it would wait for ever
      fail(api_error_of_current());
    }
  }

  void complete() {
    if (request_.stream) {
      std::string chunks;
      writer_->finish_stream(usage(), chunks);
      send(chunks);
      if (ended_) return;
      exchange_->end();
    } else {
      exchange_->reply({.body = writer_->whole(usage()), .fields = reply_fields()});
    }
    end(writer_->finish_reason());
  }

  void fail(const ApiError& error) {
    if (ended_) return;
    status_ = error.status;
    if (streaming_) {
      std::string events;
      writer_->fail_stream(error, usage(), events);
      exchange_->send(events);
      exchange_->end();
    } else {
      exchange_->reply(error_response(error, error_form_of(exchange_->request().path)));
    }
    stop_engine();
    end("error");
  }

  // Nobody waits for the reply any more.
  void abandon() {
    cancelled_ = true;
    stop_engine();
    end("abort");
  }

  void stop_engine() {
    for (size_t i = 0; i < submitted_; ++i) {
      parts_[i]->assembler.give_up();
      service_.model.abort(parts_[i]->id);
    }
  }

  ReplyUsage usage() const {
    ReplyUsage sum{.prompt_tokens = prompt_tokens_};
    for (const auto& part : parts_) {
      sum.output_tokens += part->assembler.usage().output_tokens;
      sum.cached_tokens += part->assembler.usage().cached_tokens;
    }
    return sum;
  }

  void note(const engine::RequestMetrics& metrics) { last_ = metrics; }

  void end(std::string_view reason) {
    if (ended_) return;
    ended_ = true;
    const RequestLine line{.id = id_,
                           .client = exchange_->request().client,
                           .path = exchange_->request().path,
                           .trace = std::string(exchange_->request().field("traceparent")),
                           .status = streaming_ ? 200 : status_,
                           .usage = submitted_ > 0 ? usage() : ReplyUsage{},
                           .queue_s = last_.queue_s,
                           .first_token_s = first_token_s_,
                           .total_s = exchange_->age_s(),
                           .reason = std::string(reason)};
    for (const auto& ticket : std::exchange(tickets_, {}))
      if (submitted_ > 0) ticket->ended({.id = id_, .output_tokens = line.usage.output_tokens});
    service_.metrics.count(line, last_);
    keep(line);
    if (service_.settings.log_requests && !write_request_line(line, service_.settings.log_json))
      service_.metrics.count_lost_line();
  }

  // For --request-log. Never fails the request.
  void keep(const RequestLine& line) noexcept {
    if (!service_.settings.request_log) return;
    try {
      if (!logged_) logged_.emplace(std::vector<uint64_t>{}, false);  // it was refused
      service_.settings.request_log->add(logged_->line({.id = line.id,
                                                        .path = line.path,
                                                        .fingerprint = service_.model.info().fingerprint,
                                                        .body = exchange_->request().body,
                                                        .status = status_,
                                                        .end = line.reason}));
    } catch (const std::exception&) {
      service_.settings.request_log->lose();
    }
  }

  Service& service_;
  const GenerationForm& form_;
  const std::shared_ptr<Exchange> exchange_;
  std::string default_name_;  // where the request has none of its own
  std::unique_ptr<OpenRequests::Entry> entry_;
  std::vector<std::shared_ptr<AbortTicket>> tickets_;  // of those who want it to end
  std::atomic<bool> cancelled_{false};                 // read by the worker
  GenerationRequest request_;
  std::vector<std::unique_ptr<Part>> parts_;
  size_t submitted_ = 0;
  int64_t prompt_tokens_ = 0;
  std::unique_ptr<ReplyWriter> writer_;
  std::string id_;
  bool streaming_ = false, ended_ = false;
  bool held_ = false;  // until the client has taken what waits for it
  int status_ = 200;
  double first_token_s_ = 0;
  engine::RequestMetrics last_;
  std::optional<LoggedRequest> logged_;
};

}  // namespace

void check_admission(const Service& service) {
  if (service.draining)
    throw ApiError(503, "the server is shutting down; send the request elsewhere", "draining");
  if (const int64_t open = service.open_requests; open >= service.settings.max_concurrency)
    throw ApiError(
        429,
        fmt::format("{} requests are open, and [--max-concurrency] allows no more; try again later", open),
        "too_many_requests");
}

void start_generation(Service& service, const GenerationForm& form,
                      const std::shared_ptr<Exchange>& exchange) {
  check_admission(service);
  std::make_shared<Generation>(service, form, exchange)->start();
}

}  // namespace reprise::server
