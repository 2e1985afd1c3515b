#include "server/anthropic/count_tokens.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/chat_fields.h"
#include "server/anthropic/messages_request.h"
#include "server/reply_later.h"

namespace reprise::server {

void answer_count_tokens(Service& service, const std::shared_ptr<Exchange>& exchange) {
  reply_later(service, exchange, [&service, exchange](std::vector<HttpField>& fields) {
    const GenerationRequest request =
        parse_messages_request(exchange->request(), service.model.default_sampling(), MessagesUse::count);
    check_model(service.settings, request.model);
    if (!request.ignored.empty())
      fields.emplace_back("x-reprise-ignored", fmt::format("{}", fmt::join(request.ignored, ", ")));
    const api::TextModel& text = service.model.text();
    const auto chat = text.render_chat(api::chat_request_of(request.prompts[0]));
    return Json{{"input_tokens", text.encode_chat(chat).size()}};
  });
}

}  // namespace reprise::server
