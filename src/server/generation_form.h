// What the requests and replies of one endpoint that generates look like.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/generation_request.h"
#include "server/http/message.h"
#include "server/reply_writer.h"

namespace reprise::server {

struct GenerationForm {
  std::string_view id_prefix;       // of a reply's id
  std::string_view id_field;        // the header that carries it
  std::string_view logprobs_field;  // of the body, that says how many log-probabilities are listed
  std::string_view prompt_field;    // of the body, in errors about the prompt
  // Throws ApiError and Error, which name the field.
  GenerationRequest (*parse)(const HttpRequest& request, const Sampling& defaults);
  // `echoes`: of each prompt the text that its outputs begin with, empty where none is asked for; `prompt_ids`:
  // likewise its ids.
  std::unique_ptr<ReplyWriter> (*make_writer)(const GenerationRequest& request, ReplyIdentity identity,
                                              std::vector<std::string> echoes,
                                              std::vector<std::vector<int32_t>> prompt_ids);
};

extern const GenerationForm kChatForm;         // /v1/chat/completions
extern const GenerationForm kCompletionsForm;  // /v1/completions
extern const GenerationForm kMessagesForm;     // /v1/messages
extern const GenerationForm kResponsesForm;    // /v1/responses

}  // namespace reprise::server
