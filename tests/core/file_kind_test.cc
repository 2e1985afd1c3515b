#include "core/file_kind.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "core/error.h"
#include "core/json.h"

namespace reprise {
namespace {

using testing::HasSubstr;
using namespace std::string_view_literals;

std::string text_of(std::string_view head) {
  return wrong_file_text(head, head.size());
}

TEST(FileKind, NamesWhatDownloadsLeaveBehind) {
  EXPECT_THAT(text_of("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 538090408\n"),
              HasSubstr("a Git LFS pointer, not the file of 538090408 bytes itself; run `git lfs install`"));
  EXPECT_THAT(text_of("version https://git-lfs.github.com/spec/v1\n"), HasSubstr("not the file itself"));
  for (std::string_view page :
       {"<!DOCTYPE html><html>", "\n  <!doctype HTML>", "<html lang=\"en\">", "\xEF\xBB\xBF<HTML>"})
    EXPECT_THAT(text_of(page), HasSubstr("an HTML page")) << page;
  EXPECT_THAT(text_of("<?xml version=\"1.0\"?><Error><Code>AccessDenied"), HasSubstr("an XML page"));
  EXPECT_THAT(text_of("Entry not found"), HasSubstr("a server's error message"));
  EXPECT_THAT(text_of("Invalid username or password."), HasSubstr("a server's error message"));
  EXPECT_THAT(text_of("PK\x03\x04\0\0\x08\x08"sv), HasSubstr("a zip archive"));
  EXPECT_THAT(text_of("\x80\x02}q\x01."), HasSubstr("a Python pickle"));
  EXPECT_THAT(text_of("\x1f\x8b\x08"), HasSubstr("a gzip archive"));
  EXPECT_THAT(text_of(std::string(257, 'x') + "ustar"), HasSubstr("a tar archive"));
  EXPECT_THAT(text_of(std::string(64, '\0')), HasSubstr("filled with zero bytes"));
  EXPECT_THAT(text_of(""), HasSubstr("empty"));
}

TEST(FileKind, KnowsNothingAgainstTheRightFiles) {
  EXPECT_EQ(text_of("{\"a\": 1}"), "");
  EXPECT_EQ(text_of("GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0"sv), "");
  EXPECT_EQ(text_of("\x10\0\0\0\0\0\0\0{\"a\":{}}     "sv), "");
  EXPECT_EQ(text_of("{{ messages }}"), "");
}

TEST(FileKind, JsonFilesOfACheckpointAreLookedAt) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / fmt::format("reprise-kind-{}", getpid());
  std::filesystem::create_directories(folder);
  const auto error = [&](const char* name, std::string_view bytes) -> std::string {
    std::ofstream(folder / name, std::ios::binary) << bytes;
    try {
      read_json_file(folder / name);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  EXPECT_THAT(error("a.json", "<html>"), HasSubstr("a.json is an HTML page"));
  EXPECT_THAT(error("b.json", ""), HasSubstr("b.json is empty"));
  EXPECT_THAT(error("c.json.part", "{}"), HasSubstr("an unfinished download"));
  EXPECT_EQ(error("d.json", "{\"a\":NaN}"), "");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace reprise
