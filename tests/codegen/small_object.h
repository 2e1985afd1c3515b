// A writer of small relocatable x86-64 objects, each field of which a test can set to what no compiler would
// write.
#pragma once

#include <elf.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::codegen {

struct SmallObject {
  struct Section {
    std::string name;
    std::string bytes;
    Elf64_Shdr header{};  // name, offset and, where it is 0, size are filled in
  };
  struct Symbol {
    std::string name;
    Elf64_Sym entry{};
  };

  // Sections by index; 0 is the empty one.
  static constexpr uint16_t kText = 1, kConstants = 2, kRelocations = 3, kSymbols = 4, kNames = 5,
                            kSectionNames = 6;
  // Symbols by index; 0 is the empty one.
  static constexpr uint32_t kConstantsSymbol = 1, kAnswer = 2, kTwice = 3;

  std::vector<Section> sections;
  std::vector<Symbol> symbols;
  std::vector<Elf64_Rela> relocations;
  Elf64_Ehdr header{};

  // int answer() gives the constant 21, int twice() calls it and gives 42.
  static SmallObject sample() {
    SmallObject object;
    const auto section = [&](std::string name, std::string bytes, uint32_t type, uint64_t flags,
                             uint64_t alignment) {
      Section added{.name = std::move(name), .bytes = std::move(bytes)};
      added.header.sh_type = type;
      added.header.sh_flags = flags;
      added.header.sh_addralign = alignment;
      object.sections.push_back(std::move(added));
    };
    using namespace std::string_literals;
    section("", "", SHT_NULL, 0, 0);
    // answer: mov eax, [rip + constant]; ret     twice: call answer; add eax, eax; ret
    section(".text", "\x8b\x05\0\0\0\0\xc3\xcc\xe8\0\0\0\0\x01\xc0\xc3"s, SHT_PROGBITS,
            SHF_ALLOC | SHF_EXECINSTR, 16);
    section(".rodata.cst4", "\x01\0\0\0\x15\0\0\0"s, SHT_PROGBITS, SHF_ALLOC | SHF_MERGE, 4);
    section(".rela.text", "", SHT_RELA, SHF_INFO_LINK, 8);
    section(".symtab", "", SHT_SYMTAB, 0, 8);
    section(".strtab", "", SHT_STRTAB, 0, 1);
    section(".shstrtab", "", SHT_STRTAB, 0, 1);
    object.sections[kRelocations].header.sh_link = kSymbols;
    object.sections[kRelocations].header.sh_info = kText;
    object.sections[kRelocations].header.sh_entsize = sizeof(Elf64_Rela);
    object.sections[kSymbols].header.sh_link = kNames;
    object.sections[kSymbols].header.sh_entsize = sizeof(Elf64_Sym);

    object.add_symbol("", STB_LOCAL, STT_NOTYPE, SHN_UNDEF, 0, 0);
    object.add_symbol("", STB_LOCAL, STT_SECTION, kConstants, 0, 0);
    object.add_symbol("answer", STB_GLOBAL, STT_FUNC, kText, 0, 7);
    object.add_symbol("twice", STB_GLOBAL, STT_FUNC, kText, 8, 8);
    object.relocations = {
        {.r_offset = 2, .r_info = ELF64_R_INFO(uint64_t{kConstantsSymbol}, R_X86_64_PC32), .r_addend = 4 - 4},
        {.r_offset = 9, .r_info = ELF64_R_INFO(uint64_t{kAnswer}, R_X86_64_PLT32), .r_addend = -4}};

    std::memcpy(object.header.e_ident, ELFMAG, SELFMAG);
    object.header.e_ident[EI_CLASS] = ELFCLASS64;
    object.header.e_ident[EI_DATA] = ELFDATA2LSB;
    object.header.e_ident[EI_VERSION] = EV_CURRENT;
    object.header.e_type = ET_REL;
    object.header.e_machine = EM_X86_64;
    object.header.e_version = EV_CURRENT;
    object.header.e_ehsize = sizeof(Elf64_Ehdr);
    object.header.e_shentsize = sizeof(Elf64_Shdr);
    object.header.e_shstrndx = kSectionNames;
    return object;
  }

  void add_symbol(std::string name, unsigned char bind, unsigned char type, uint16_t section, uint64_t value,
                  uint64_t bytes) {
    Symbol symbol{.name = std::move(name)};
    symbol.entry.st_info = static_cast<unsigned char>(ELF64_ST_INFO(bind, type));
    symbol.entry.st_shndx = section;
    symbol.entry.st_value = value;
    symbol.entry.st_size = bytes;
    symbols.push_back(std::move(symbol));
  }

  std::string text() const {
    std::vector<Section> all = sections;
    std::string names(1, '\0');
    for (Symbol symbol : symbols) {
      symbol.entry.st_name = symbol.name.empty() ? 0 : static_cast<uint32_t>(names.size());
      if (!symbol.name.empty()) names += symbol.name + '\0';
      all[kSymbols].bytes += raw(symbol.entry);
    }
    for (const Elf64_Rela& relocation : relocations) all[kRelocations].bytes += raw(relocation);
    all[kNames].bytes = names;
    std::string section_names;
    for (Section& section : all) {
      section.header.sh_name = static_cast<uint32_t>(section_names.size());
      section_names += section.name + '\0';
    }
    all[kSectionNames].bytes = section_names;

    std::string file(sizeof(Elf64_Ehdr), '\0');
    for (Section& section : all) {
      section.header.sh_offset = file.size();
      if (section.header.sh_size == 0) section.header.sh_size = section.bytes.size();
      file += section.bytes;
      file.resize((file.size() + 15) / 16 * 16);
    }
    Elf64_Ehdr first = header;
    if (first.e_shoff == 0) first.e_shoff = file.size();
    if (first.e_shnum == 0) first.e_shnum = static_cast<uint16_t>(all.size());
    for (const Section& section : all) file += raw(section.header);
    std::memcpy(file.data(), &first, sizeof(first));
    return file;
  }

 private:
  template <typename T>
  static std::string raw(const T& value) {
    return {reinterpret_cast<const char*>(&value), sizeof(value)};
  }
};

inline std::span<const std::byte> as_object(const std::string& text) {
  return std::as_bytes(std::span(text));
}

}  // namespace reprise::codegen
