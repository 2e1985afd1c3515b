#include "server/api_error.h"

#include <new>

#include "api/prepare.h"
#include "core/json.h"
#include "engine/engine_thread.h"

namespace reprise::server {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

// "[top_p] is 3, expected ..." and "[sampling] top_p is 3, ..." are about top_p.
std::string field_of(std::string_view message) {
  if (!message.starts_with('[')) return {};
  const size_t end = message.find(']');
  if (end == std::string_view::npos) return {};
  std::string_view name = message.substr(1, end - 1);
  if (name == "sampling" && message.size() > end + 2) {
    const std::string_view rest = message.substr(end + 2);
    name = rest.substr(0, rest.find(' '));
  }
  return name.find(' ') == std::string_view::npos ? std::string(name) : std::string();
}

// {"type": "error", "error": {"type", "message"}}
std::string anthropic_error_json(const ApiError& error) {
  const auto type = [&]() -> std::string_view {
    switch (error.status) {
      case 401:
        return "authentication_error";
      case 403:
        return "permission_error";
      case 404:
        return "not_found_error";
      case 413:
        return "request_too_large";
      case 429:
        return "rate_limit_error";
      case 503:
        return "overloaded_error";
      default:
        return error.status >= 500 ? "api_error" : "invalid_request_error";
    }
  };
  return to_json_text({{"type", "error"}, {"error", {{"type", type()}, {"message", error.what()}}}});
}

}  // namespace

ErrorForm error_form_of(std::string_view path) {
  return path == "/v1/messages" || path.starts_with("/v1/messages/") ? ErrorForm::anthropic
                                                                     : ErrorForm::openai;
}

std::string error_json(int status, std::string_view message, std::string_view code, std::string_view param) {
  Json error = {{"message", message}, {"type", type_of(status)}, {"param", nullptr}, {"code", nullptr}};
  if (!param.empty()) error["param"] = param;
  if (!code.empty()) error["code"] = code;
  return to_json_text({{"error", std::move(error)}});
}

HttpResponse error_response(const ApiError& error, ErrorForm form) {
  HttpResponse response{.status = error.status, .body = error_text(error, form)};
  if (error.status == 429 || error.status == 503) response.fields.emplace_back("Retry-After", "1");
  if (error.status == 401) response.fields.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

std::string error_text(const ApiError& error, ErrorForm form) {
  return form == ErrorForm::anthropic ? anthropic_error_json(error)
                                      : error_json(error.status, error.what(), error.code, error.param);
}

ApiError api_error_of_current() {
  try {
    throw;
  } catch (const ApiError& error) {
    return error;
  } catch (const api::PromptTooLong& error) {
    return {400, error.what(), "context_length_exceeded", "messages"};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::queue_full) return {429, error.what(), "queue_full"};
    if (error.code() == ErrorCode::closed) return {503, error.what(), "draining"};
    return {400, error.what(), "invalid_value", field_of(error.what())};
  } catch (const std::bad_alloc&) {
    return {503, "there is no memory left for this request; try again later", "out_of_memory"};
  } catch (const std::exception& error) {
    return {500, error.what()};
  }
}

}  // namespace reprise::server
