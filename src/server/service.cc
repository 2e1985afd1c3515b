#include "server/service.h"

#include <fmt/format.h>

#include <algorithm>

#include "server/api_error.h"

namespace reprise::server {

void check_model(const ServiceSettings& settings, const std::string& name) {
  if (name.empty() || std::ranges::find(settings.model_names, name) != settings.model_names.end()) return;
  throw ApiError(
      404, fmt::format("the model '{}' is not served here; /v1/models lists what is", name.substr(0, 200)),
      "model_not_found", "model");
}

}  // namespace reprise::server
