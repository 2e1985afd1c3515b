// cases.json holds small templates and what Python's jinja2 made of them (tools/oracle/template_oracle.py):
// the same bytes are expected here, and an error wherever jinja2 raised one.
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/error.h"
#include "core/json.h"
#include "source_dir.h"
#include "tokenizer/jinja/chat_template.h"

namespace reprise::tokenizer {
namespace {

TEST(TemplateCases, EqualJinja2) {
  const Json golden = read_json_file(REPRISE_SOURCE_DIR "/tests/tokenizer/jinja/cases.json");
  setenv("REPRISE_NOW", golden["now"].get<std::string>().c_str(), 1);
  size_t errors = 0;
  for (const Json& expected : golden["cases"]) {
    SCOPED_TRACE(expected["template"].get<std::string>());
    const Json& context = expected.contains("context") ? expected["context"] : golden["context"];
    try {
      std::string text = ChatTemplate::parse(expected["template"].get<std::string>()).render(context);
      EXPECT_FALSE(expected.contains("error"))
          << "jinja2 raises " << expected["error"] << ", here came: " << text;
      EXPECT_EQ(text, expected.value("expected", ""));
    } catch (const Error& error) {
      ++errors;
      EXPECT_TRUE(expected.contains("error")) << error.what();
      EXPECT_EQ(std::string(error.what()).find("[chat template] line "), 0u) << error.what();
    }
  }
  EXPECT_GT(golden["cases"].size(), 1000u);
  EXPECT_GT(errors, 200u);
  unsetenv("REPRISE_NOW");
}

}  // namespace
}  // namespace reprise::tokenizer
