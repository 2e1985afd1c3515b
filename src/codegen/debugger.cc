#include "codegen/debugger.h"

#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

// What gdb looks for by name ("JIT Compilation Interface" in its manual): it stops in the function and reads the list.
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
struct jit_code_entry {
  jit_code_entry* next_entry;
  jit_code_entry* prev_entry;
  const char* symfile_addr;
  uint64_t symfile_size;
};
struct jit_descriptor {
  uint32_t version;
  uint32_t action_flag;  // 1: the entry was added, 2: it goes
  jit_code_entry* relevant_entry;
  jit_code_entry* first_entry;
};
jit_descriptor __jit_debug_descriptor = {1, 0, nullptr, nullptr};
[[gnu::noinline]] void __jit_debug_register_code() {
  asm volatile("" ::: "memory");
}
}
// NOLINTEND(bugprone-reserved-identifier)

namespace reprise::codegen {
namespace {

std::mutex list_mutex;

void tell(uint32_t action, jit_code_entry* entry) {
  __jit_debug_descriptor.action_flag = action;
  __jit_debug_descriptor.relevant_entry = entry;
  __jit_debug_register_code();
}

// A file of symbols alone, at their final addresses: the code itself is in memory already.
std::string symbol_file(std::span<const DebuggerFunction> functions) {
  constexpr uint16_t kText = 1, kSymbols = 2, kNames = 3, kSections = 4;
  const auto address = [](const std::byte* code) { return reinterpret_cast<uintptr_t>(code); };
  std::string names(1, '\0');
  const auto name = [&](std::string_view text) {
    names.append(text).push_back('\0');
    return static_cast<Elf64_Word>(names.size() - text.size() - 1);
  };
  uintptr_t begin = UINTPTR_MAX, end = 0;
  std::vector<Elf64_Sym> symbols(1);
  for (const DebuggerFunction& function : functions) {
    begin = std::min(begin, address(function.code));
    end = std::max(end, address(function.code) + std::max<size_t>(function.bytes, 1));
    symbols.push_back({.st_name = name(function.name),
                       .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                       .st_other = STV_DEFAULT,
                       .st_shndx = kText,
                       .st_value = address(function.code),
                       .st_size = function.bytes});
  }
  Elf64_Shdr sections[kSections] = {};
  sections[kText].sh_name = name(".text");
  sections[kText].sh_type = SHT_NOBITS;
  sections[kText].sh_flags = SHF_ALLOC | SHF_EXECINSTR;
  sections[kText].sh_addr = begin;
  sections[kText].sh_size = end - begin;
  sections[kText].sh_addralign = 1;
  sections[kSymbols].sh_name = name(".symtab");
  sections[kSymbols].sh_type = SHT_SYMTAB;
  sections[kSymbols].sh_offset = sizeof(Elf64_Ehdr) + sizeof(sections);
  sections[kSymbols].sh_size = symbols.size() * sizeof(Elf64_Sym);
  sections[kSymbols].sh_link = kNames;
  sections[kSymbols].sh_info = 1;  // the first global one
  sections[kSymbols].sh_addralign = alignof(Elf64_Sym);
  sections[kSymbols].sh_entsize = sizeof(Elf64_Sym);
  sections[kNames].sh_name = name(".strtab");
  sections[kNames].sh_type = SHT_STRTAB;
  sections[kNames].sh_offset = sections[kSymbols].sh_offset + sections[kSymbols].sh_size;
  sections[kNames].sh_size = names.size();
  sections[kNames].sh_addralign = 1;

  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_shoff = sizeof(header);
  header.e_ehsize = sizeof(header);
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = kSections;
  header.e_shstrndx = kNames;
  std::string file;
  file.append(reinterpret_cast<const char*>(&header), sizeof(header));
  file.append(reinterpret_cast<const char*>(sections), sizeof(sections));
  file.append(reinterpret_cast<const char*>(symbols.data()), sections[kSymbols].sh_size);
  return file + names;
}

}  // namespace

struct DebuggerEntry::Entry {
  std::string file;
  jit_code_entry listed = {};
};

DebuggerEntry::DebuggerEntry(std::span<const DebuggerFunction> functions)
    : entry_(new Entry{.file = symbol_file(functions)}) {
  jit_code_entry& listed = entry_->listed;
  listed.symfile_addr = entry_->file.data();
  listed.symfile_size = entry_->file.size();
  const std::lock_guard lock(list_mutex);
  listed.next_entry = std::exchange(__jit_debug_descriptor.first_entry, &listed);
  if (listed.next_entry != nullptr) listed.next_entry->prev_entry = &listed;
  tell(1, &listed);
}

DebuggerEntry::~DebuggerEntry() {
  const jit_code_entry& listed = entry_->listed;
  const std::lock_guard lock(list_mutex);
  (listed.prev_entry != nullptr ? listed.prev_entry->next_entry : __jit_debug_descriptor.first_entry) =
      listed.next_entry;
  if (listed.next_entry != nullptr) listed.next_entry->prev_entry = listed.prev_entry;
  tell(2, &entry_->listed);
}

}  // namespace reprise::codegen
