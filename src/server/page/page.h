// The web page at `/`: files of src/server/page/files, which the build puts into the program.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "server/http/exchange.h"
#include "server/service.h"

namespace reprise::server {

struct PageFile {
  std::string_view name;  // "index.html"
  std::string_view bytes;
};
std::span<const PageFile> page_files();

// `/` answers with index.html, `/page/NAME` with a file. Needs no key: what these hold is no secret, and the page asks
// for a key itself.
void answer_page(Service& service, const std::shared_ptr<Exchange>& exchange);

}  // namespace reprise::server
