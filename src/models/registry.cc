#include "models/registry.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"

namespace reprise::models {

Family llama_family();     // llama.cc
Family mistral_family();   // mistral.cc
Family qwen2_family();     // qwen2.cc
Family qwen3_family();     // qwen3.cc
Family ernie4_5_family();  // ernie4_5.cc

namespace {

// An explicit list: a static library would drop registrars that nothing names.
std::vector<Family>& families() {
  static std::vector<Family> list = {llama_family(), mistral_family(), qwen2_family(), qwen3_family(),
                                     ernie4_5_family()};
  return list;
}

}  // namespace

const Family& find_family(const std::string& architecture) {
  for (const Family& family : families())
    if (family.architecture == architecture) return family;
  throw Error("[config] architecture '{}' is not known; known are {}", architecture,
              fmt::join(known_architectures(), ", "));
}

std::vector<std::string> known_architectures() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.push_back(family.architecture);
  return names;
}

void register_family(Family family) {
  for (Family& known : families())
    if (known.architecture == family.architecture) {
      known = std::move(family);
      return;
    }
  families().push_back(std::move(family));
}

}  // namespace reprise::models
