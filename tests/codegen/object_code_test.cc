#include "codegen/object_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "core/error.h"
#include "tests/codegen/small_object.h"

namespace reprise::codegen {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

void expect_refused(const std::string& object, const std::string& reason) {
  try {
    check_object(as_object(object));
    ADD_FAILURE() << "not refused; expected: " << reason;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(reason));
  }
}

// The rights of the mapping that an address lies in ("r-xp"), as the kernel says.
std::string rights_at(const void* address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    char dash = 0;
    std::string rights;
    std::istringstream words(line);
    words >> std::hex >> begin >> dash >> end >> rights;
    if (reinterpret_cast<uintptr_t>(address) >= begin && reinterpret_cast<uintptr_t>(address) < end)
      return rights;
  }
  return "";
}

TEST(ObjectCode, RunsAndMayNotBeWritten) {
  const std::string object = SmallObject::sample().text();
  const ObjectCode code = ObjectCode::load(as_object(object));
  EXPECT_EQ(reinterpret_cast<int (*)()>(code.function("answer"))(), 21);
  EXPECT_EQ(reinterpret_cast<int (*)()>(code.function("twice"))(), 42);
  EXPECT_EQ(code.bytes(), 2 * 4096U);
  EXPECT_EQ(rights_at(code.function("answer")), "r-xp");
  EXPECT_EQ(rights_at(static_cast<std::byte*>(code.function("answer")) + 4096), "r--p");
  EXPECT_THROW(code.function("answer2"), Error);
}

TEST(ObjectCode, IsUnmappedWithTheObjectAndMoves) {
  const std::string object = SmallObject::sample().text();
  const void* address = nullptr;
  {
    ObjectCode code = ObjectCode::load(as_object(object));
    address = code.function("answer");
    const ObjectCode moved = std::move(code);
    EXPECT_EQ(moved.function("answer"), address);
    EXPECT_EQ(rights_at(address), "r-xp");
    code = ObjectCode::load(as_object(object));
    EXPECT_EQ(reinterpret_cast<int (*)()>(code.function("twice"))(), 42);
  }
  EXPECT_NE(rights_at(address), "r-xp");
}

TEST(ObjectCode, FillsTheCodeWithTraps) {
  const std::string object = SmallObject::sample().text();
  const ObjectLayout layout = check_object(as_object(object));
  std::vector<std::byte> image(layout.image_bytes);
  write_image(layout, as_object(object), image);
  const size_t begin = layout.sections[0].image_offset, end = begin + layout.sections[0].bytes;
  for (size_t i = 0; i < layout.code_bytes; ++i) {
    if (i >= begin && i < end) continue;
    ASSERT_EQ(image[i], std::byte{0xcc}) << i;
  }
  EXPECT_EQ(image[layout.code_bytes + 4], std::byte{21});
}

TEST(ObjectCode, LeavesOutUnwindTablesAndWhatIsNotLoaded) {
  SmallObject object = SmallObject::sample();
  object.sections.push_back({.name = ".eh_frame", .bytes = std::string(8, '\1')});
  object.sections.back().header.sh_type = SHT_PROGBITS;
  object.sections.back().header.sh_flags = SHF_ALLOC;
  object.sections.push_back({.name = ".comment", .bytes = "by hand"});
  object.sections.back().header.sh_type = SHT_PROGBITS;
  const std::string text = object.text();
  EXPECT_EQ(check_object(as_object(text)).sections.size(), 2U);
}

TEST(ObjectCode, RefusesSymbolsFromOutside) {
  SmallObject object = SmallObject::sample();
  object.add_symbol("memcpy", STB_GLOBAL, STT_NOTYPE, SHN_UNDEF, 0, 0);
  expect_refused(object.text(), "symbol memcpy is not in the object");
  object = SmallObject::sample();
  object.add_symbol("shared", STB_GLOBAL, STT_OBJECT, SHN_COMMON, 8, 8);
  expect_refused(object.text(), "symbol shared is of a kind that is not supported");
  object = SmallObject::sample();
  object.add_symbol("chosen", STB_GLOBAL, STT_GNU_IFUNC, SmallObject::kText, 0, 7);
  expect_refused(object.text(), "symbol chosen is of a kind that is not supported");
}

TEST(ObjectCode, RefusesSymbolsOutOfBoundsOrTwice) {
  SmallObject object = SmallObject::sample();
  object.symbols[SmallObject::kAnswer].entry.st_value = 17;
  expect_refused(object.text(), "symbol answer is out of bounds");
  object = SmallObject::sample();
  object.symbols[SmallObject::kTwice].entry.st_size = ~uint64_t{0} - 4;
  expect_refused(object.text(), "symbol twice is out of bounds");
  object = SmallObject::sample();
  object.symbols[SmallObject::kTwice].entry.st_shndx = SmallObject::kConstants;
  object.symbols[SmallObject::kTwice].entry.st_value = 0;
  expect_refused(object.text(), "function twice is outside of the code");
  object = SmallObject::sample();
  object.symbols[SmallObject::kTwice].name = "answer";
  expect_refused(object.text(), "function answer is defined twice");
}

TEST(ObjectCode, RefusesEveryOtherRelocation) {
  for (uint32_t type = 0; type < 256; ++type) {
    if (type == R_X86_64_PC32 || type == R_X86_64_PLT32) continue;
    SmallObject object = SmallObject::sample();
    object.relocations[0].r_info = ELF64_R_INFO(uint64_t{SmallObject::kAnswer}, type);
    expect_refused(object.text(), "of symbol answer is not supported");
  }
  SmallObject object = SmallObject::sample();
  object.relocations[0].r_info = ELF64_R_INFO(uint64_t{SmallObject::kAnswer}, R_X86_64_REX_GOTPCRELX);
  expect_refused(object.text(), "R_X86_64_REX_GOTPCRELX");
}

TEST(ObjectCode, RefusesRelocationsOutOfBounds) {
  for (const uint64_t offset :
       {uint64_t{13}, uint64_t{16}, uint64_t{1} << 40, ~uint64_t{0}, ~uint64_t{0} - 3}) {
    SmallObject object = SmallObject::sample();
    object.relocations[0].r_offset = offset;
    expect_refused(object.text(), "a relocation in .text is out of bounds");
  }
  for (const int64_t addend : {int64_t{1} << 31, -(int64_t{1} << 31) - 1, INT64_MAX, INT64_MIN}) {
    SmallObject object = SmallObject::sample();
    object.relocations[0].r_addend = addend;
    expect_refused(object.text(), "does not fit 32 bits");
  }
  for (const uint64_t symbol : {uint64_t{0}, uint64_t{4}, uint64_t{0xffffffff}}) {
    SmallObject object = SmallObject::sample();
    object.relocations[0].r_info = ELF64_R_INFO(symbol, R_X86_64_PC32);
    expect_refused(object.text(), "a relocation in .text names no symbol");
  }
}

TEST(ObjectCode, RefusesSectionsThatGeneratedCodeDoesNotHave) {
  const auto with = [](auto&& change) {
    SmallObject object = SmallObject::sample();
    change(object.sections[SmallObject::kConstants].header);
    return object.text();
  };
  expect_refused(with([](auto& section) { section.sh_flags |= SHF_WRITE; }),
                 "section .rodata.cst4 holds data to write");
  expect_refused(with([](auto& section) { section.sh_flags |= SHF_TLS; }), "not supported");
  expect_refused(with([](auto& section) { section.sh_flags |= SHF_COMPRESSED; }), "not supported");
  expect_refused(with([](auto& section) { section.sh_type = SHT_INIT_ARRAY; }), "not supported");
  expect_refused(with([](auto& section) { section.sh_addralign = 3; }), "an alignment of 3");
  expect_refused(with([](auto& section) { section.sh_addralign = 8192; }), "an alignment of 8192");
  expect_refused(with([](auto& section) { section.sh_size = 1 << 20; }),
                 "section .rodata.cst4 is out of bounds");
  expect_refused(with([](auto& section) { section.sh_size = ~uint64_t{0}; }), "out of bounds");
  expect_refused(with([](auto& section) {
                   section.sh_type = SHT_NOBITS;
                   section.sh_size = kMostObjectBytes;
                 }),
                 "the image is above the limit");
}

TEST(ObjectCode, RefusesAnObjectWithoutCode) {
  SmallObject object = SmallObject::sample();
  object.sections[SmallObject::kText].header.sh_flags = SHF_ALLOC;
  expect_refused(object.text(), "the object has no code");
}

TEST(ObjectCode, RefusesOtherFiles) {
  expect_refused("", "no ELF object");
  expect_refused(std::string(64, 'x'), "not an ELF object");
  const auto with = [](auto&& change) {
    SmallObject object = SmallObject::sample();
    change(object.header);
    return object.text();
  };
  expect_refused(with([](auto& header) { header.e_machine = EM_AARCH64; }),
                 "not a relocatable x86-64 object");
  expect_refused(with([](auto& header) { header.e_type = ET_DYN; }), "not a relocatable x86-64 object");
  expect_refused(with([](auto& header) { header.e_shoff = ~uint64_t{0}; }),
                 "the table of sections is out of bounds");
  expect_refused(with([](auto& header) { header.e_shnum = 0xffff; }),
                 "the table of sections is out of bounds");
  expect_refused(with([](auto& header) { header.e_shstrndx = 7; }), "the section of names does not exist");
  expect_refused(with([](auto& header) { header.e_shstrndx = 1; }), "no table of names");
}

// In a heap block of its exact size, so that AddressSanitizer sees a read behind the end.
void check_without_running(const std::string& object) {
  const std::unique_ptr<std::byte[]> exact(new std::byte[object.size()]);
  std::memcpy(exact.get(), object.data(), object.size());
  const std::span<const std::byte> bytes(exact.get(), object.size());
  try {
    const ObjectLayout layout = check_object(bytes);
    std::vector<std::byte> image(layout.image_bytes);
    write_image(layout, bytes, image);
  } catch (const Error&) {
  }
}

TEST(ObjectCode, EveryTruncationAndEveryFlippedBitIsHandled) {
  const std::string object = SmallObject::sample().text();
  // Cut anywhere, the table of sections at its end is incomplete.
  for (size_t size = 0; size < object.size(); ++size)
    EXPECT_THROW(check_object(as_object(object.substr(0, size))), Error) << size;
  for (size_t bit = 0; bit < object.size() * 8; ++bit) {
    std::string flipped = object;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    check_without_running(flipped);
  }
}

TEST(ObjectCode, IsNotedForPerf) {
  const std::string path = fmt::format("/tmp/perf-{}.map", getpid());
  std::filesystem::remove(path);
  const std::string object = SmallObject::sample().text();
  const ObjectCode code = ObjectCode::load(as_object(object));
  code.note_for_perf("layer 3 gate");
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  std::filesystem::remove(path);
  EXPECT_THAT(text.str(), HasSubstr(fmt::format("{:x} 7 layer 3 gate:answer\n",
                                                reinterpret_cast<uintptr_t>(code.function("answer")))));
  EXPECT_THAT(text.str(), HasSubstr(":twice\n"));
  // A link that somebody put there is not followed.
  const std::string other = fmt::format("{}/elsewhere-{}", ::testing::TempDir(), getpid());
  std::ofstream(other) << "kept";
  std::filesystem::create_symlink(other, path);
  code.note_for_perf("layer 3 gate");
  std::filesystem::remove(path);
  EXPECT_EQ(std::filesystem::file_size(other), 4U);
  std::filesystem::remove(other);
}

// As gdb reads it: the entries of the list, each a file of symbols.
struct Listed {
  Listed* next;
  Listed* previous;
  const char* file;
  uint64_t bytes;
};
struct List {
  uint32_t version;
  uint32_t action;
  Listed* relevant;
  Listed* first;
};
extern "C" List __jit_debug_descriptor;  // NOLINT(bugprone-reserved-identifier)

std::vector<const Listed*> listed() {
  std::vector<const Listed*> all;
  for (const Listed* entry = __jit_debug_descriptor.first; entry != nullptr; entry = entry->next) {
    EXPECT_EQ(entry->previous, all.empty() ? nullptr : all.back());
    all.push_back(entry);
  }
  return all;
}

template <typename T>
T read_at(const Listed& entry, uint64_t offset) {
  T value;
  EXPECT_LE(offset + sizeof(T), entry.bytes);
  std::memcpy(&value, entry.file + offset, sizeof(T));
  return value;
}

TEST(ObjectCode, IsNotedForGdb) {
  const std::string object = SmallObject::sample().text();
  const auto load = [&](std::string_view name) {
    auto code = std::make_unique<ObjectCode>(ObjectCode::load(as_object(object)));
    code->note_for_gdb(name);
    return code;
  };
  EXPECT_THAT(listed(), IsEmpty());
  auto first = load("first"), second = load("silu.mul"), third = load("third");
  EXPECT_EQ(__jit_debug_descriptor.version, 1u);
  EXPECT_EQ(__jit_debug_descriptor.action, 1u);
  const std::vector<const Listed*> all = listed();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(__jit_debug_descriptor.relevant, all[0]);

  const auto header = read_at<Elf64_Ehdr>(*all[1], 0);
  const auto section = [&](uint64_t index) {
    return read_at<Elf64_Shdr>(*all[1], header.e_shoff + index * sizeof(Elf64_Shdr));
  };
  ASSERT_EQ(header.e_shnum, 4);
  const Elf64_Shdr text = section(1), symbols = section(2), names = section(3);
  ASSERT_EQ(symbols.sh_size, 3 * sizeof(Elf64_Sym));
  std::vector<uint64_t> addresses;
  for (uint64_t i = 1; i < 3; ++i) {
    const auto symbol = read_at<Elf64_Sym>(*all[1], symbols.sh_offset + i * sizeof(Elf64_Sym));
    EXPECT_STREQ(all[1]->file + names.sh_offset + symbol.st_name, "silu_mul");
    EXPECT_GE(symbol.st_value, text.sh_addr);
    EXPECT_LE(symbol.st_value + symbol.st_size, text.sh_addr + text.sh_size);
    addresses.push_back(symbol.st_value);
  }
  const auto place = [&](const char* function) {
    return reinterpret_cast<uint64_t>(second->function(function));
  };
  EXPECT_THAT(addresses, UnorderedElementsAre(place("answer"), place("twice")));

  // Moved it is the same entry; gone it is none, wherever it stands.
  ObjectCode moved = std::move(*second);
  second.reset();
  EXPECT_EQ(listed(), all);
  moved = ObjectCode::load(as_object(object));
  EXPECT_EQ(listed(), (std::vector{all[0], all[2]}));
  EXPECT_EQ(__jit_debug_descriptor.action, 2u);
  EXPECT_EQ(__jit_debug_descriptor.relevant, all[1]);
  third.reset();
  EXPECT_EQ(listed(), std::vector{all[2]});
  first.reset();
  EXPECT_THAT(listed(), IsEmpty());
}

}  // namespace
}  // namespace reprise::codegen
