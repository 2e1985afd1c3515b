#include "cli/result_writer.h"
#include "core/error.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace reprise::cli {
namespace {

// Results come in any order and are written in that of the prompts, each as early as that allows.
TEST(ResultWriter, WritesInOrderAsSoonAsItCan) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  TextOutput out(fmt::format("/dev/fd/{}", ends[1]), "test");
  const auto written = [&] {
    char buffer[64];
    out.write("|");  // so that the read does not wait where nothing was written
    out.flush();
    const ssize_t count = read(ends[0], buffer, sizeof buffer);
    return std::string(buffer, static_cast<size_t>(count) - 1);
  };
  ResultWriter writer(out);
  writer.add(1, {.out = "one\n", .error = ""});
  EXPECT_EQ(written(), "");
  writer.add(0, {.out = "zero\n", .error = ""});
  EXPECT_EQ(written(), "zero\none\n");
  EXPECT_EQ(writer.next(), 2u);
  writer.add(4, {.out = "four\n", .error = ""});
  writer.add(2, {.out = "two\n", .error = ""});
  EXPECT_EQ(written(), "two\n");
  writer.write_rest();  // 3 never comes
  EXPECT_EQ(written(), "four\n");
  EXPECT_EQ(writer.written(), 4u);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace reprise::cli
