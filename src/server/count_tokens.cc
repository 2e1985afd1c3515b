#include "server/count_tokens.h"

#include "api/chat_fields.h"
#include "server/anthropic/messages_request.h"
#include "server/reply_later.h"
#include "server/request_body.h"
#include "server/responses/responses_request.h"

namespace reprise::server {
namespace {

// `reply`: the rest of the reply beside input_tokens.
void answer_length(Service& service, const std::shared_ptr<Exchange>& exchange,
                   GenerationRequest (*parse)(const HttpRequest&, const Sampling&), const Json& reply) {
  reply_later(service, exchange, [&service, exchange, parse, reply](std::vector<HttpField>& fields) {
    const GenerationRequest request = parse(exchange->request(), service.model.default_sampling());
    check_model(service.settings, request.model);
    add_ignored_field(request.ignored, fields);
    const api::TextModel& text = service.model.text();
    const auto chat = text.render_chat(api::chat_request_of(request.prompts[0]));
    Json whole = reply;
    whole["input_tokens"] = text.encode_chat(chat).size();
    return whole;
  });
}

}  // namespace

void answer_count_tokens(Service& service, const std::shared_ptr<Exchange>& exchange) {
  constexpr auto parse = [](const HttpRequest& request, const Sampling& defaults) {
    return parse_messages_request(request, defaults, MessagesUse::count);
  };
  answer_length(service, exchange, parse, Json::object());
}

void answer_input_tokens(Service& service, const std::shared_ptr<Exchange>& exchange) {
  answer_length(service, exchange, parse_responses_request, {{"object", "response.input_tokens"}});
}

}  // namespace reprise::server
