#include "server/page/page.h"

#include <algorithm>
#include <string>

#include "server/api_error.h"
#include "server/page/page_files.h"

namespace reprise::server {
namespace {

std::string_view content_type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  return "image/svg+xml";
}

// Nothing from anywhere else, no script in the page itself, and no page of others around it.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace

void answer_page(Service&, const std::shared_ptr<Exchange>& exchange) {
  const std::string_view path = exchange->request().path;
  const std::string_view name = path == "/" ? "index.html" : path.substr(std::string_view("/page/").size());
  const auto file = std::ranges::find(page_files(), name, &PageFile::name);
  if (file == page_files().end())
    throw ApiError(404, "the page has no such file; it is at /", "no_such_path");
  exchange->reply({.body = std::string(file->bytes),
                   .content_type = std::string(content_type_of(name)),
                   .fields = {{"Content-Security-Policy", std::string(kPolicy)},
                              {"X-Content-Type-Options", "nosniff"},
                              {"Referrer-Policy", "no-referrer"},
                              {"Cache-Control", "no-store"}}});
}

}  // namespace reprise::server
