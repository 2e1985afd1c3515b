// What a client is told when its request can't be served: a status, OpenAI's error object, and for which field.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "server/http/message.h"

namespace reprise::server {

// Whose API's shape an error has.
enum class ErrorForm { openai, anthropic };
// That of the endpoint at this path.
ErrorForm error_form_of(std::string_view path);

class ApiError : public Error {
 public:
  // `code`: OpenAI's, such as "context_length_exceeded"; `param`: the field; both may be empty.
  ApiError(int status_code, const std::string& message, std::string code_name = "", std::string field = "")
      : Error("{}", message), status(status_code), code(std::move(code_name)), param(std::move(field)) {}
  const int status;
  const std::string code;
  const std::string param;
};

// OpenAI's {"error": {"message", "type", "param", "code"}}; the type follows from the status.
std::string error_json(int status, std::string_view message, std::string_view code = {},
                       std::string_view param = {});
HttpResponse error_response(const ApiError& error, ErrorForm form = ErrorForm::openai);
std::string error_text(const ApiError& error, ErrorForm form);  // its body

// The error that is being handled, as a client hears of it: what our layers say begins with "[field]", which becomes
// `param`. Call it inside of a catch block.
ApiError api_error_of_current();

}  // namespace reprise::server
