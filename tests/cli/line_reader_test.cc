#include "cli/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

#include "core/error.h"

namespace reprise::cli {
namespace {

using Got = LineReader::Got;

// Every line of `content`; "<too long>" for one that was skipped.
std::vector<std::string> lines_of(const std::string& content, size_t max_line = LineReader::kMaxLine) {
  const std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("reprise_line_reader_test_{}", getpid());
  std::ofstream(path, std::ios::binary) << content;
  LineReader reader(path.string(), "--file", max_line);
  std::vector<std::string> lines;
  std::string line;
  for (Got got; (got = reader.next(line)) != Got::end;)
    lines.push_back(got == Got::too_long ? "<too long>" : line);
  std::filesystem::remove(path);
  return lines;
}

TEST(LineReader, GivesEveryLine) {
  using testing::ElementsAre;
  EXPECT_THAT(lines_of(""), ElementsAre());
  EXPECT_THAT(lines_of("a\nbc\n"), ElementsAre("a", "bc"));
  EXPECT_THAT(lines_of("a\r\n\nlast"), ElementsAre("a", "", "last"));
  EXPECT_THAT(lines_of(std::string("x\0y\n", 4)), ElementsAre(std::string("x\0y", 3)));
}

TEST(LineReader, LinesMayBeLongerThanOneRead) {
  const std::string a(150'000, 'a'), b(70'000, 'b');
  EXPECT_THAT(lines_of(a + "\n" + b + "\nc\n"), testing::ElementsAre(a, b, "c"));
}

TEST(LineReader, SkipsALineThatIsTooLong) {
  using testing::ElementsAre;
  EXPECT_THAT(lines_of("12345\n123456\nx\n", 5), ElementsAre("12345", "<too long>", "x"));
  EXPECT_THAT(lines_of(std::string(1'000'000, 'a') + "\nx", 1000), ElementsAre("<too long>", "x"));
  EXPECT_THAT(lines_of("x\n" + std::string(1'000'000, 'a'), 1000), ElementsAre("x", "<too long>"));
}

TEST(LineReader, DoesNotWaitForAPipeUnlessAsked) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int standard = dup(STDIN_FILENO);
  dup2(ends[0], STDIN_FILENO);
  LineReader reader("-", "--file");
  std::string line;
  EXPECT_EQ(reader.next(line, /*may_wait=*/false), Got::not_yet);
  ASSERT_EQ(write(ends[1], "ab", 2), 2);
  EXPECT_EQ(reader.next(line, /*may_wait=*/false), Got::not_yet);
  ASSERT_EQ(write(ends[1], "c\nd", 3), 3);
  EXPECT_EQ(reader.next(line, /*may_wait=*/false), Got::line);
  EXPECT_EQ(line, "abc");
  close(ends[1]);
  EXPECT_EQ(reader.next(line), Got::line);
  EXPECT_EQ(line, "d");
  EXPECT_EQ(reader.next(line), Got::end);
  dup2(standard, STDIN_FILENO);
  close(ends[0]);
  close(standard);
}

TEST(LineReader, NamesTheFlagOfAFileThatCannotBeRead) {
  const auto error_of = [](const std::string& path) -> std::string {
    std::string line;
    try {
      LineReader(path, "--file").next(line);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error_of("/no/such/file"), testing::StartsWith("[--file] cannot open /no/such/file"));
  EXPECT_THAT(error_of("/"), testing::HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace reprise::cli
