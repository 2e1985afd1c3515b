// The makers' own chat templates, which stand outside the repository, against hashes of what jinja2 made of
// them.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "core/error.h"
#include "core/json.h"
#include "source_dir.h"
#include "tokenizer/jinja/chat_template.h"

namespace reprise::tokenizer {
namespace {

std::string fnv1a(std::string_view text) {
  uint64_t value = 0xCBF29CE484222325u;
  for (unsigned char byte : text) value = (value ^ byte) * 0x100000001B3u;
  return fmt::format("{:016x}", value);
}

TEST(SharedTemplates, EveryConversationEqualsJinja2) {
  const char* shared = std::getenv("REPRISE_SHARED");
  std::filesystem::path folder =
      std::filesystem::path(shared ? shared : REPRISE_SOURCE_DIR "/../shared") / "data/chat-templates";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << folder << " is absent";
  const Json golden = read_json_file(REPRISE_SOURCE_DIR "/tests/tokenizer/jinja/shared_templates.json");
  setenv("REPRISE_NOW", golden["now"].get<std::string>().c_str(), 1);
  size_t compared = 0;
  for (const auto& [name, expected] : golden["templates"].items()) {
    std::string source = read_file(folder / name);
    ASSERT_EQ(fnv1a(source), expected["source"].get<std::string>())
        << name << " has changed: write the goldens again";
    ChatTemplate chat = ChatTemplate::parse(source);
    for (size_t i = 0; i < golden["conversations"].size(); ++i, ++compared) {
      const Json& conversation = golden["conversations"][i];
      SCOPED_TRACE(name + " / " + conversation["name"].get<std::string>());
      std::string hash;  // empty: jinja2 raises
      try {
        hash = fnv1a(chat.render(conversation["context"]));
      } catch (const Error&) {
      }
      EXPECT_EQ(hash, expected["prompts"][i].get<std::string>());
    }
  }
  EXPECT_GE(compared, 900u);
  unsetenv("REPRISE_NOW");
}

}  // namespace
}  // namespace reprise::tokenizer
