#include "tokenizer/hash.h"

#include <random>

namespace reprise::tokenizer {

uint64_t make_hash_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

}  // namespace reprise::tokenizer
