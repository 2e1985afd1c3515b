#include "core/text_output.h"
#include "core/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

namespace reprise {
namespace {

class TextOutputFile : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("reprise_output_test_{}", getpid());
    std::filesystem::create_directory(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  size_t files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::filesystem::path folder_;
};

TEST_F(TextOutputFile, IsWrittenWholeWithItsZeroBytes) {
  const std::string text("a\0b", 3);
  const std::string big(200'000, 'x');
  TextOutput out(path("f"), "-o");
  out.write(text);
  out.print("{}\n", 5);
  out.write(big);
  out.close();
  EXPECT_EQ(content(path("f")), text + "5\n" + big);
  EXPECT_EQ(files(), 1u);
}

TEST_F(TextOutputFile, KeepsTheOldContentUntilItIsClosed) {
  std::ofstream(path("f")) << "old";
  {
    TextOutput out(path("f"), "-o");
    out.write(std::string(200'000, 'x'));
    EXPECT_EQ(content(path("f")), "old");
  }
  EXPECT_EQ(content(path("f")), "old");
  EXPECT_EQ(files(), 1u);  // the part is gone
}

TEST_F(TextOutputFile, FollowsLinks) {
  std::ofstream(path("real")) << "old";
  std::filesystem::create_symlink(path("real"), path("link"));
  TextOutput out(path("link"), "-o");
  out.write("new");
  out.close();
  EXPECT_TRUE(std::filesystem::is_symlink(path("link")));
  EXPECT_EQ(content(path("real")), "new");
}

TEST_F(TextOutputFile, NamesTheFlagWhereItCannotBeCreated) {
  for (const std::string& name : {path("no/such/folder/f"), folder_.string()}) try {
      TextOutput out(name, "--trace");
      ADD_FAILURE() << name;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), testing::StartsWith("[--trace] cannot write " + name));
    }
  EXPECT_EQ(files(), 0u);
}

TEST(TextOutputDevice, IsWrittenDirectlyAndKept) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "this machine has no /dev/full";
  TextOutput out("/dev/full", "-o");
  out.write("x");
  try {
    out.close();
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(), testing::AllOf(testing::HasSubstr("-o"), testing::HasSubstr("No space left")));
  }
  struct stat status {};
  ASSERT_EQ(stat("/dev/full", &status), 0);
  EXPECT_TRUE(S_ISCHR(status.st_mode));
}

TEST_F(TextOutputFile, SaysThatTheReaderOfAPipeIsGone) {
  std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int standard = dup(STDOUT_FILENO);
  close(ends[0]);
  dup2(ends[1], STDOUT_FILENO);
  TextOutput::standard().write("x");
  EXPECT_THROW(TextOutput::standard().flush(), ClosedPipe);
  EXPECT_NO_THROW(TextOutput::standard().flush());  // what could not be written is dropped
  dup2(standard, STDOUT_FILENO);
  close(ends[1]);
  close(standard);
}

}  // namespace
}  // namespace reprise
