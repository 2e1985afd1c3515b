#include "tests/tokenizer/golden_cases.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "core/json.h"
#include "source_dir.h"
#include "tokenizer/streaming_decoder.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {
namespace {

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (size_t at = 0; at + 1 < hex.size(); at += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16)));
  }
  return bytes;
}

}  // namespace

std::filesystem::path golden_folder(const std::string& name) {
  return std::filesystem::path(REPRISE_SOURCE_DIR) / "tests/tokenizer/golden" / name;
}

GoldenCases read_golden_cases(const std::string& name) {
  GoldenCases cases;
  std::istringstream lines(read_file(golden_folder(name) / "cases.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json json = parse_json(line, "cases.jsonl");
    if (json.contains("bytes")) {
      cases.texts.push_back({from_hex(json["bytes"].get<std::string>()),
                             json["ids"].get<std::vector<int32_t>>(),
                             json["ids_plain"].get<std::vector<int32_t>>()});
    } else {
      cases.decodes.push_back({json["decode"].get<std::vector<int32_t>>(), json["text"].get<std::string>(),
                               json["text_skip"].get<std::string>()});
    }
  }
  return cases;
}

std::filesystem::path shared_folder() {
  if (const char* folder = std::getenv("REPRISE_SHARED")) return folder;
  return std::filesystem::path(REPRISE_SOURCE_DIR) / "../shared";
}

std::string decode_streaming(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                             bool skip_special_tokens) {
  StreamingDecoder decoder(tokenizer, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) {
    const std::string part = decoder.push(id);
    EXPECT_TRUE(is_valid_utf8(part));
    text += part;
  }
  return text + decoder.flush();
}

}  // namespace reprise::tokenizer
