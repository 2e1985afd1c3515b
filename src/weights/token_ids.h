// Token ids as configurations write them: absent, null, a number or a list.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/json_fields.h"

namespace reprise::weights {

// The ids of `key` inside [0, vocab_size), without repetition. Negative ids, which older configs write for
// "none", are left out; so is everything else that is no id of this vocabulary, with a line in `warnings`.
// Throws nothing but std::bad_alloc.
std::vector<int64_t> token_ids(const JsonFields& fields, std::string_view key, int64_t vocab_size,
                               std::vector<std::string>& warnings);

}  // namespace reprise::weights
