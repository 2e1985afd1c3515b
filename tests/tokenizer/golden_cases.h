// The golden tokenizers and their cases (tools/make_tokenizer_goldens.py), and small helpers that the tests
// share.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace reprise::tokenizer {

struct TextCase {
  std::string bytes;
  std::vector<int32_t> ids;
  std::vector<int32_t> ids_plain;
};
struct DecodeCase {
  std::vector<int32_t> ids;
  std::string text;
  std::string text_skip;
};
struct GoldenCases {
  std::vector<TextCase> texts;
  std::vector<DecodeCase> decodes;
};

std::filesystem::path golden_folder(const std::string& name);
GoldenCases read_golden_cases(const std::string& name);

// ../shared, or where the environment variable REPRISE_SHARED says.
std::filesystem::path shared_folder();

// GgufVocab::types from the numbers of the file.
inline std::vector<GgufTokenType> token_types(std::initializer_list<int> numbers) {
  std::vector<GgufTokenType> types;
  for (const int number : numbers) types.push_back(static_cast<GgufTokenType>(number));
  return types;
}

// What the streaming decoder hands out, put together; each part must be valid UTF-8 by itself.
std::string decode_streaming(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                             bool skip_special_tokens);

}  // namespace reprise::tokenizer
