#include "codegen/artefact.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <sys/resource.h>
#include <csignal>

#include "core/error.h"
#include "tests/codegen/temporary_folder.h"

namespace reprise::codegen {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

std::string open_error(const std::string& path) {
  try {
    Artefact::open(path);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

constexpr std::string_view kNote = "chunks 4: T 1 0.0270 us\nparts: T 1 0.0350 us\n";

void write_sample(const std::string& path, const std::string& about = R"({"isa":"avx2"})") {
  const std::vector<std::byte> one = bytes_of("code one"), two = bytes_of("code two");
  Artefact::write(path, "-o", about,
                  {{.key = "b", .payload = two, .note = kNote}, {.key = "a", .payload = one}});
}

TEST(Artefact, GivesBackWhatWasWritten) {
  const TemporaryFolder folder;
  write_sample(folder.path("f"));
  const Artefact opened = Artefact::open(folder.path("f"));
  const auto moved = [&](Artefact artefact) { return artefact; };
  const Artefact artefact = moved(Artefact::open(folder.path("f")));
  for (const Artefact* each : {&opened, &artefact}) {
    EXPECT_EQ(each->about(), R"({"isa":"avx2"})");
    ASSERT_EQ(each->pairs().size(), 2u);
    EXPECT_EQ(each->pairs()[0].key, "a");
    ASSERT_NE(each->find("b"), nullptr);
    EXPECT_THAT(each->find("b")->payload, testing::ElementsAreArray(bytes_of("code two")));
    EXPECT_EQ(each->find("b")->note, kNote);
    EXPECT_EQ(each->find("c"), nullptr);
  }
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"f"});
}

TEST(Artefact, FindsEveryDamageInOneLine) {
  const TemporaryFolder folder;
  write_sample(folder.path("f"));
  const std::vector<std::byte> good = file_bytes(folder.path("f"));
  const std::vector<std::byte> entry =
      kernel_file_bytes(KernelFileKind::cache_entry, "", {{.key = "a", .payload = good}});
  for_each_damage(good, entry, [&](const std::vector<std::byte>& damaged, const std::string& how) {
    try {
      Artefact::parse(damaged, "kernels.rka");
      ADD_FAILURE() << how;
    } catch (const Error& e) {
      EXPECT_THAT(e.what(), AllOf(StartsWith("[--compiled] kernels.rka "), HasSubstr("reprise compile"),
                                  testing::Not(HasSubstr("\n"))))
          << how;
    }
  });
}

TEST(Artefact, ANoteIsAVerdict) {
  const auto with_note = [](std::string_view note) {
    return kernel_file_bytes(KernelFileKind::artefact, "", {{.key = "a", .payload = {}, .note = note}});
  };
  EXPECT_EQ(Artefact::parse(with_note(kNote), "f").pairs()[0].note, kNote);
  try {
    Artefact::parse(with_note("fast enough"), "f");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_THAT(e.what(),
                AllOf(StartsWith("[--compiled] f is damaged: its times"), HasSubstr("reprise compile")));
  }
}

TEST(Artefact, SaysWhyAFileCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_THAT(open_error(folder.path("none")),
              AllOf(HasSubstr(folder.path("none")), HasSubstr("No such file")));
  EXPECT_THAT(open_error(folder.path()), HasSubstr("not a regular file"));
  ASSERT_EQ(mkfifo(folder.path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(open_error(folder.path("pipe")), HasSubstr("not a regular file"));
  put_file(folder.path("empty"), {});
  EXPECT_THAT(open_error(folder.path("empty")), HasSubstr("is empty"));
  put_file(folder.path("large"), {});
  std::filesystem::resize_file(folder.path("large"), uint64_t{5} << 30);  // takes no room, and no memory
  EXPECT_THAT(open_error(folder.path("large")), HasSubstr("5368709120 bytes"));
}

TEST(Artefact, AFailedWriteLeavesTheOldFile) {
  const TemporaryFolder folder;
  write_sample(folder.path("f"), "old");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = 100;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &tight), 0);
  std::string error;
  try {
    write_sample(folder.path("f"), "new" + std::string(200, ' '));
  } catch (const Error& e) {
    error = e.what();
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_DFL);
  EXPECT_THAT(error, AllOf(StartsWith("[-o] cannot write"), HasSubstr("File too large")));
  EXPECT_EQ(Artefact::open(folder.path("f")).about(), "old");
  EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"f"});
}

}  // namespace
}  // namespace reprise::codegen
