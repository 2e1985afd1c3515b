// How many tokens the requests of a load have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace reprise::client {

struct RequestLengths {
  int64_t input = 0, output = 0;  // tokens
};

// Lengths like those of conversations that people shared (ShareGPT): log-normal, of inputs with median 90 and mean 209
// (sigma 1.3), of outputs with median 110 and mean 201 (sigma 1.1), each cut to 4 .. 1024. Where `most_in_all` > 0, the
// two together stay within it. The same seed gives the same list, and a longer one begins with it.
std::vector<RequestLengths> conversation_lengths(size_t count, uint64_t seed, int64_t most_in_all);

// Inputs of `least` to `most` tokens, each length as likely as any other. The same seed gives the same list.
std::vector<RequestLengths> uniform_lengths(size_t count, uint64_t seed, int64_t least, int64_t most,
                                            int64_t output);

}  // namespace reprise::client
