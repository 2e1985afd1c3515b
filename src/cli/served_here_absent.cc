// Of a build without the server.
#include "cli/served_here.h"
#include "core/error.h"

namespace reprise::cli {

struct ServedHere::Impl {};

ServedHere::ServedHere(const LoadOptions&) {
  throw Error("[replay] this build has no server: it was made without Boost 1.81 or yaml-cpp");
}
ServedHere::~ServedHere() = default;
std::string ServedHere::url() const {
  return {};
}

}  // namespace reprise::cli
