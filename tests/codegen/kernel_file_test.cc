#include "codegen/kernel_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/codegen/temporary_folder.h"

namespace reprise::codegen {
namespace {

using testing::HasSubstr;

std::string reason(std::span<const std::byte> bytes, KernelFileKind kind = KernelFileKind::artefact) {
  try {
    parse_kernel_file(kind, bytes);
    return "";
  } catch (const Error& e) {
    return e.what();
  }
}

std::vector<std::byte> sample() {
  const std::vector<std::byte> one = bytes_of("payload one"), two = bytes_of(std::string("\0\1\2", 3));
  return kernel_file_bytes(KernelFileKind::artefact, "about",
                           {{.key = "two", .payload = two, .note = "note of two"},
                            {.key = "one", .payload = one},
                            {.key = "", .payload = {}, .note = "note"}});
}

// With the right checksum behind it: what only the checks of the form can find.
std::vector<std::byte> resealed(std::vector<std::byte> bytes) {
  bytes.resize(bytes.size() - 8);
  const uint64_t checksum = kernel_file_checksum(bytes);
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::byte>(checksum >> (8 * i)));
  return bytes;
}
std::vector<std::byte> with_number(size_t at, uint64_t value, size_t width) {
  std::vector<std::byte> bytes = sample();
  for (size_t i = 0; i < width; ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
  return resealed(bytes);
}

TEST(KernelFile, GivesBackWhatWasWritten) {
  const std::vector<std::byte> bytes = sample();
  const KernelFile file = parse_kernel_file(KernelFileKind::artefact, bytes);
  EXPECT_EQ(file.about, "about");
  ASSERT_EQ(file.pairs.size(), 3u);
  EXPECT_EQ(file.pairs[0].key, "");
  EXPECT_EQ(file.pairs[1].key, "one");
  ASSERT_NE(file.find("two"), nullptr);
  EXPECT_THAT(file.find("two")->payload, testing::ElementsAreArray(bytes_of(std::string("\0\1\2", 3))));
  EXPECT_EQ(file.find("two")->note, "note of two");
  EXPECT_EQ(file.find("one")->note, "");
  EXPECT_EQ(file.find("three"), nullptr);
  EXPECT_EQ(file.find("zzz"), nullptr);
  for (const KernelPair& pair : file.pairs) EXPECT_EQ((pair.payload.data() - bytes.data()) % 16, 0);
  EXPECT_EQ(kernel_file_bytes(KernelFileKind::artefact, file.about, file.pairs), bytes);
  EXPECT_EQ(resealed(bytes), bytes);
}

// Stored files depend on these: whoever changes them also raises the version.
TEST(KernelFile, NamesAndChecksumsAreTheSameForEver) {
  EXPECT_EQ(stored_name(""), "06518714084e248420a542e537418c18");
  EXPECT_EQ(stored_name("kernel"), "adaf14c26bd412587b9a7c2d73593c87");
  EXPECT_EQ(kernel_file_checksum({}), 5503375390470806016u);
}

TEST(KernelFile, FindsEveryDamage) {
  const std::vector<std::byte> good = sample();
  ASSERT_EQ(reason(good), "");
  const std::vector<std::byte> entry =
      kernel_file_bytes(KernelFileKind::cache_entry, "", {{.key = "one", .payload = good}});
  ASSERT_EQ(reason(entry, KernelFileKind::cache_entry), "");
  for_each_damage(good, entry, [&](const std::vector<std::byte>& damaged, const std::string& how) {
    EXPECT_NE(reason(damaged), "") << how;
  });
}

TEST(KernelFile, LengthsAreComparedWithTheBytesThatAreThere) {
  constexpr size_t kCount = 12, kAbout = 16, kFirstKey = 24, kFirstNote = 32, kFirstPayload = 40;
  for (const uint64_t large : {uint64_t{1000}, uint64_t{UINT32_MAX}})
    EXPECT_THAT(reason(with_number(kCount, large, 4)), HasSubstr("lengths add up"));
  for (const size_t at : {kAbout, kFirstKey, kFirstPayload})
    for (const uint64_t large : {uint64_t{1000}, uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 15})
      EXPECT_NE(reason(with_number(at, large, 8)), "") << at << " " << large;
  EXPECT_THAT(reason(with_number(kCount, 2, 4)), HasSubstr("damaged"));
  EXPECT_THAT(reason(with_number(8, 1, 4)), HasSubstr("has format 1, and this build reads format 2"));
  for (const uint64_t large : {uint64_t{kMostNoteBytes} + 1, UINT64_MAX})
    EXPECT_THAT(reason(with_number(kFirstNote, large, 8)),
                HasSubstr(fmt::format("a note of {} bytes is above the limit of 4096", large)));
  EXPECT_THAT(reason(with_number(kFirstNote, kMostNoteBytes, 8)), HasSubstr("lengths add up"));
}

TEST(KernelFile, TheFormIsCheckedBesideTheChecksum) {
  const auto pairs = [](std::string_view first, std::string_view second) {
    const std::vector<std::byte> payload = bytes_of("0123456789abcdef");
    return kernel_file_bytes(KernelFileKind::artefact, "",
                             {{.key = first, .payload = payload}, {.key = second, .payload = payload}});
  };
  std::vector<std::byte> bytes = pairs("a", "b");
  const size_t first = 24 + 2 * 24, second = first + 8 + 16;  // after the lengths; "a", 7 zeros, 16 bytes
  ASSERT_EQ(bytes[first], std::byte{'a'});
  ASSERT_EQ(bytes[second], std::byte{'b'});
  bytes[second] = std::byte{'a'};
  EXPECT_THAT(reason(resealed(bytes)), HasSubstr("do not ascend"));
  bytes = pairs("a", "b");
  bytes[first + 3] = std::byte{1};
  EXPECT_THAT(reason(resealed(bytes)), HasSubstr("between a note and its payload"));
  bytes = pairs("a", "b");
  bytes.insert(bytes.end() - 8, std::byte{0});
  EXPECT_THAT(reason(resealed(bytes)), HasSubstr("9 bytes follow"));
  EXPECT_THROW(pairs("a", "a"), InternalError);
  const std::string too_long(kMostNoteBytes + 1, 'n');
  EXPECT_THROW(
      kernel_file_bytes(KernelFileKind::artefact, "", {{.key = "a", .payload = {}, .note = too_long}}),
      InternalError);
  EXPECT_THAT(reason({}), HasSubstr("is empty"));
  EXPECT_THAT(reason(bytes_of("PK\3\4")), HasSubstr("is no file of compiled kernels"));
}

}  // namespace
}  // namespace reprise::codegen
