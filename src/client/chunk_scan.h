// What a chunk of a stream of OpenAI's API says, found without making a tree of it: for who reads many streams at once.
#pragma once

#include <cstdint>
#include <string_view>

namespace reprise::client {

struct ChunkNews {
  bool done = false;   // "[DONE]"
  bool error = false;  // an error object in place of a chunk
  bool text = false;   // text, reasoning or a tool call that is not empty
  bool usage = false;  // a usage object
};

// `data` of one event; JSON that is malformed gives any news.
ChunkNews scan_chunk(std::string_view data);

struct ChunkUsage {
  int64_t prompt_tokens = 0, output_tokens = 0, cached_tokens = 0;
};
// Of a chunk or a whole reply that has usage; what it lacks stays 0. Throws Error on malformed JSON.
ChunkUsage usage_of(std::string_view data);

}  // namespace reprise::client
