// The web page's files, src/server/page/files, which the build puts into the program.
#pragma once

#include <span>
#include <string_view>

namespace reprise::server {

struct PageFile {
  std::string_view name;  // "index.html"
  std::string_view bytes;
};
std::span<const PageFile> page_files();

}  // namespace reprise::server
