#include "server/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "server/api_error.h"

namespace reprise::server {

namespace {

uint64_t random_number() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

}  // namespace

Service::Service(const ServiceSettings& chosen, api::ServingModel& served, size_t prepare_threads)
    : settings(chosen),
      model(served),
      next_id(random_number()),
      seed_key{random_number(), random_number()},
      prepare_pool(prepare_threads) {}

uint64_t Service::draw_seed() {
  return siphash_1_3(drawn_seeds++, seed_key);
}

void check_model(const ServiceSettings& settings, const std::string& name) {
  if (name.empty() || std::ranges::find(settings.model_names, name) != settings.model_names.end()) return;
  throw ApiError(
      404, fmt::format("the model '{}' is not served here; /v1/models lists what is", name.substr(0, 200)),
      "model_not_found", "model");
}

}  // namespace reprise::server
