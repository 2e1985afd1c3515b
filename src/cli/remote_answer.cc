#include "cli/remote_answer.h"

#include <chrono>
#include <string_view>
#include <utility>

#include "cli/interrupt.h"
#include "client/chunk_scan.h"
#include "client/sse_reader.h"
#include "core/error.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

// One reply while it arrives.
class Reply {
 public:
  Reply(Answer& answer, const std::function<bool(std::string_view)>& on_text)
      : answer_(answer),
        on_text_(on_text),
        events_([this](std::string_view, std::string_view data) { take(data); }) {}

  void begin(int status, const client::HttpFields& fields) {
    status_ = status;
    streams_ = status == 200 && client::field_of(fields, "content-type").starts_with("text/event-stream");
  }
  // False: no more is wanted.
  bool feed(std::string_view piece) {
    if (streams_)
      events_.feed(piece);
    else
      whole_.append(piece);
    return wanted_;
  }
  void end(const client::HttpEnd& end, std::string_view path) {
    if (end.trouble == client::Trouble::cancelled) {
      answer_.finish_reason = "abort";
    } else if (end.trouble != client::Trouble::none) {
      answer_.error = end.what;
    } else if (status_ != 200) {
      answer_.error =
          fmt::format("{} answers with status {}: {}", path, status_, client::error_message_of(whole_));
    } else if (!streams_) {  // a server that does not stream
      take(whole_);
      done_ = true;
    }
    if (answer_.error.empty() && !done_ && answer_.finish_reason.empty())
      answer_.error = fmt::format("the stream of {} ended without its last event", path);
    // From the request on: several tokens may arrive together, so that the time between them says little.
    if (const double total_s = seconds(Clock::now() - start_); total_s > 0)
      answer_.tokens_per_s = static_cast<double>(answer_.output_tokens) / total_s;
    if (first_ != Clock::time_point{}) answer_.first_token_s = seconds(first_ - start_);
  }

 private:
  using Clock = std::chrono::steady_clock;
  static double seconds(Clock::duration time) { return std::chrono::duration<double>(time).count(); }

  void take(std::string_view data) {
    if (data == "[DONE]") {
      done_ = true;
      return;
    }
    const Json json = parse_json(data, "an event of the server's stream", kRequestJson);
    if (json.is_object() && json.contains("error") && !json["error"].is_null()) {
      answer_.error = client::error_message_of(data);
      wanted_ = false;
      return;
    }
    take_choices(json);
    if (json.is_object() && json.contains("usage") && json["usage"].is_object()) {
      const client::ChunkUsage usage = client::usage_of(data);
      answer_.prompt_tokens = usage.prompt_tokens;
      answer_.output_tokens = usage.output_tokens;
    }
  }

  // The first choice alone.
  void take_choices(const Json& json) {
    if (!json.is_object() || !json.contains("choices") || !json["choices"].is_array()) return;
    for (const Json& choice : json["choices"]) {
      if (!choice.is_object() || choice.value("index", Json(0)) != 0) continue;
      if (choice.contains("finish_reason") && choice["finish_reason"].is_string())
        answer_.finish_reason = choice["finish_reason"].get<std::string>();
      for (const Json* at : {&choice, part(choice, "delta"), part(choice, "message")})
        for (const char* name : {"text", "content"})
          if (at != nullptr && at->contains(name) && (*at)[name].is_string())
            add((*at)[name].get_ref<const std::string&>());
    }
  }

  static const Json* part(const Json& choice, const char* name) {
    const auto found = choice.find(name);
    return found != choice.end() && found->is_object() ? &*found : nullptr;
  }

  void add(const std::string& text) {
    if (text.empty() || !wanted_) return;
    if (answer_.text.empty()) first_ = Clock::now();
    answer_.text += text;
    wanted_ = on_text_(text);
  }

  Answer& answer_;
  const std::function<bool(std::string_view)>& on_text_;
  client::SseReader events_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point first_{};
  int status_ = 0;
  bool streams_ = false, done_ = false, wanted_ = true;
  std::string whole_;
};

}  // namespace

Answer RemoteAnswerer::answer(const Question& question,
                              const std::function<bool(std::string_view)>& on_text) {
  Json body = {{"model", model_.name}, {"stream", true}, {"stream_options", {{"include_usage", true}}}};
  body.update(fields_);
  if (question.text) {
    body["prompt"] = *question.text;
  } else {
    body["messages"] = Json::array();
    for (const Message& message : question.messages)
      body["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  const std::string path = question.text ? "/v1/completions" : "/v1/chat/completions";
  Answer answer;
  Reply reply(answer, on_text);
  client::HttpLoop::CallId id = 0;
  client::HttpEvents events;
  events.head = [&](int status, const client::HttpFields& fields) { reply.begin(status, fields); };
  events.body = [&](std::string_view piece) {
    try {
      if (!reply.feed(piece)) loop_->cancel(id);
    } catch (const ClosedPipe&) {
      throw;
    } catch (const Error& error) {
      answer.error = error.what();
      loop_->cancel(id);
    }
  };
  events.end = [&](const client::HttpEnd& end) { reply.end(end, loop_->url().shown + path); };
  id = loop_->ask({.path = path, .body = to_json_text(body)}, std::move(events));
  loop_->run([] { return InterruptGuard::caught() != 0; });
  loop_->cancel(id);  // where a signal came
  loop_->run();
  return answer;
}

std::unique_ptr<RemoteAnswerer> make_remote_answerer(std::unique_ptr<client::HttpLoop> loop,
                                                     const std::string& model, Json fields) {
  RemoteModel chosen = remote_model(*loop, model);
  return std::make_unique<RemoteAnswerer>(std::move(loop), std::move(chosen), std::move(fields));
}

}  // namespace reprise::cli
