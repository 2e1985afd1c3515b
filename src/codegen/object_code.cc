#include "codegen/object_code.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "core/error.h"

namespace reprise::codegen {
namespace {

// The largest page that x86-64 Linux has by default; also the largest alignment that a section may ask for.
constexpr size_t kPage = 4096;
// Before the first function: UndefinedBehaviorSanitizer (-fsanitize=function) reads words there before a call.
constexpr size_t kLead = 64;
constexpr size_t kMostSections = 4096;
constexpr size_t kMostSymbols = 1 << 16;
constexpr size_t kMostRelocations = 1 << 20;

size_t rounded_up(size_t value, size_t to) {
  return (value + to - 1) / to * to;
}

// Names come from untrusted bytes and go into messages.
std::string printable(std::string_view name) {
  constexpr size_t kMost = 80;
  std::string text;
  for (const char c : name.substr(0, kMost)) text += c >= ' ' && c <= '~' ? c : '?';
  return name.size() > kMost ? text + "..." : text;
}

std::string relocation_name(uint32_t type) {
  constexpr std::pair<uint32_t, const char*> kNames[] = {
      {R_X86_64_64, "R_X86_64_64"},
      {R_X86_64_GOT32, "R_X86_64_GOT32"},
      {R_X86_64_COPY, "R_X86_64_COPY"},
      {R_X86_64_GLOB_DAT, "R_X86_64_GLOB_DAT"},
      {R_X86_64_JUMP_SLOT, "R_X86_64_JUMP_SLOT"},
      {R_X86_64_RELATIVE, "R_X86_64_RELATIVE"},
      {R_X86_64_GOTPCREL, "R_X86_64_GOTPCREL"},
      {R_X86_64_32, "R_X86_64_32"},
      {R_X86_64_32S, "R_X86_64_32S"},
      {R_X86_64_PC64, "R_X86_64_PC64"},
      {R_X86_64_TPOFF32, "R_X86_64_TPOFF32"},
      {R_X86_64_TLSGD, "R_X86_64_TLSGD"},
      {R_X86_64_IRELATIVE, "R_X86_64_IRELATIVE"},
      {R_X86_64_GOTPCRELX, "R_X86_64_GOTPCRELX"},
      {R_X86_64_REX_GOTPCRELX, "R_X86_64_REX_GOTPCRELX"},
  };
  for (const auto& [number, name] : kNames)
    if (type == number) return name;
  return fmt::format("of type {}", type);
}

class ObjectReader {
 public:
  explicit ObjectReader(std::span<const std::byte> elf) : elf_(elf) {}

  ObjectLayout read() {
    read_header();
    place_sections();
    find_symbols();
    read_symbols();
    for (size_t i = 0; i < headers_.size(); ++i) read_relocations(i);
    return std::move(layout_);
  }

 private:
  // A copy: nothing says that structures are aligned in the file.
  template <typename T>
  T at(size_t offset) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, elf_.data() + offset, sizeof(T));
    return value;
  }

  bool inside(uint64_t offset, uint64_t bytes) const {
    return offset <= elf_.size() && bytes <= elf_.size() - offset;
  }

  void read_header() {
    if (elf_.size() > kMostObjectBytes)
      throw Error("machine code: an object of {} bytes is above the limit of {}", elf_.size(),
                  kMostObjectBytes);
    if (elf_.size() < sizeof(Elf64_Ehdr))
      throw Error("machine code: {} bytes are no ELF object", elf_.size());
    const auto header = at<Elf64_Ehdr>(0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) throw Error("machine code: not an ELF object");
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_ident[EI_VERSION] != EV_CURRENT || header.e_type != ET_REL ||
        header.e_machine != EM_X86_64 || header.e_version != EV_CURRENT ||
        header.e_ehsize != sizeof(Elf64_Ehdr) || header.e_phnum != 0)
      throw Error("machine code: not a relocatable x86-64 object");
    const size_t count = header.e_shnum;
    if (count == 0 || count > kMostSections || header.e_shentsize != sizeof(Elf64_Shdr) ||
        !inside(header.e_shoff, count * sizeof(Elf64_Shdr)))
      throw Error("machine code: the table of sections is out of bounds");
    headers_.resize(count);
    std::memcpy(headers_.data(), elf_.data() + header.e_shoff, count * sizeof(Elf64_Shdr));
    image_offset_.resize(count);
    if (header.e_shstrndx >= count) throw Error("machine code: the section of names does not exist");
    section_names_ = header.e_shstrndx;
    check_strings(section_names_);
  }

  // After this text(section, offset) may be called.
  void check_strings(size_t section) const {
    const Elf64_Shdr& header = headers_[section];
    if (header.sh_type != SHT_STRTAB || !inside(header.sh_offset, header.sh_size) || header.sh_size == 0 ||
        elf_[header.sh_offset + header.sh_size - 1] != std::byte{0})
      throw Error("machine code: section {} is no table of names", section);
  }

  std::string_view text(size_t section, uint64_t offset) const {
    const Elf64_Shdr& header = headers_[section];
    if (offset >= header.sh_size) throw Error("machine code: a name is out of bounds");
    return reinterpret_cast<const char*>(elf_.data() + header.sh_offset +
                                         offset);  // ends in the table, as checked
  }

  std::string section_name(size_t section) const {
    return printable(text(section_names_, headers_[section].sh_name));
  }

  void place_sections() {
    layout_.image_bytes = kLead;
    place(true);
    if (layout_.sections.empty()) throw Error("machine code: the object has no code");
    layout_.code_bytes = layout_.image_bytes;
    place(false);
  }

  void place(bool code) {
    size_t end = layout_.image_bytes;
    for (size_t i = 0; i < headers_.size(); ++i) {
      const Elf64_Shdr& section = headers_[i];
      const std::string_view name = text(section_names_, section.sh_name);
      if (!(section.sh_flags & SHF_ALLOC) || section.sh_size == 0 || section.sh_type == SHT_X86_64_UNWIND ||
          name == ".eh_frame" || (section.sh_flags & SHF_EXECINSTR ? true : false) != code)
        continue;
      const bool zeros = section.sh_type == SHT_NOBITS;
      constexpr uint64_t kAllowed = SHF_ALLOC | SHF_EXECINSTR | SHF_MERGE | SHF_STRINGS | SHF_GROUP;
      if (section.sh_flags & SHF_WRITE)
        throw Error("machine code: section {} holds data to write, which generated code may not have",
                    section_name(i));
      if ((section.sh_flags & ~kAllowed) || (section.sh_type != SHT_PROGBITS && !zeros) || (zeros && code))
        throw Error("machine code: section {} has the type {:#x} and flags {:#x}, which are not supported",
                    section_name(i), section.sh_type, section.sh_flags);
      const uint64_t alignment = section.sh_addralign == 0 ? 1 : section.sh_addralign;
      if (alignment > kPage || (alignment & (alignment - 1)))
        throw Error("machine code: section {} asks for an alignment of {}", section_name(i), alignment);
      if (section.sh_size > kMostObjectBytes || (!zeros && !inside(section.sh_offset, section.sh_size)))
        throw Error("machine code: section {} is out of bounds", section_name(i));
      const size_t offset = rounded_up(end, alignment);
      end = offset + section.sh_size;
      if (end > kMostObjectBytes)
        throw Error("machine code: the image is above the limit of {} bytes", kMostObjectBytes);
      layout_.sections.push_back({zeros ? 0 : section.sh_offset, section.sh_size, offset, zeros});
      image_offset_[i] = offset;
    }
    layout_.image_bytes = rounded_up(end, kPage);
  }

  void find_symbols() {
    for (size_t i = 0; i < headers_.size(); ++i) {
      const Elf64_Shdr& header = headers_[i];
      if (header.sh_type != SHT_SYMTAB) continue;
      if (symbols_) throw Error("machine code: two tables of symbols");
      if (header.sh_entsize != sizeof(Elf64_Sym) || header.sh_size % sizeof(Elf64_Sym) != 0 ||
          header.sh_size / sizeof(Elf64_Sym) > kMostSymbols || !inside(header.sh_offset, header.sh_size) ||
          header.sh_link >= headers_.size())
        throw Error("machine code: the table of symbols is out of bounds");
      check_strings(header.sh_link);
      symbols_ = i;
    }
    if (!symbols_) throw Error("machine code: the object has no symbols");
  }

  size_t symbol_count() const { return headers_[*symbols_].sh_size / sizeof(Elf64_Sym); }
  Elf64_Sym symbol(size_t index) const {
    return at<Elf64_Sym>(headers_[*symbols_].sh_offset + index * sizeof(Elf64_Sym));
  }
  std::string symbol_name(const Elf64_Sym& symbol) const {
    return printable(text(headers_[*symbols_].sh_link, symbol.st_name));
  }

  // Where a symbol lies in the image; nullopt: in nothing that is laid out.
  std::optional<size_t> place_of(const Elf64_Sym& symbol) const {
    if (symbol.st_shndx >= headers_.size() || !image_offset_[symbol.st_shndx]) return std::nullopt;
    const uint64_t size = headers_[symbol.st_shndx].sh_size;
    if (symbol.st_value > size || symbol.st_size > size - symbol.st_value)
      throw Error("machine code: symbol {} is out of bounds", symbol_name(symbol));
    return *image_offset_[symbol.st_shndx] + symbol.st_value;
  }

  void read_symbols() {
    for (size_t i = 1; i < symbol_count(); ++i) {  // the first is none
      const Elf64_Sym entry = symbol(i);
      const std::string_view name = text(headers_[*symbols_].sh_link, entry.st_name);
      const unsigned type = ELF64_ST_TYPE(entry.st_info);
      if (entry.st_shndx == SHN_UNDEF)
        throw Error("machine code: symbol {} is not in the object; generated code may not call out",
                    printable(name));
      if (type == STT_GNU_IFUNC || type == STT_TLS || entry.st_shndx == SHN_COMMON ||
          entry.st_shndx == SHN_XINDEX)
        throw Error("machine code: symbol {} is of a kind that is not supported", printable(name));
      const std::optional<size_t> place = place_of(entry);
      if (!place || type != STT_FUNC || ELF64_ST_BIND(entry.st_info) == STB_LOCAL) continue;
      if (!(headers_[entry.st_shndx].sh_flags & SHF_EXECINSTR) || *place >= layout_.code_bytes)
        throw Error("machine code: function {} is outside of the code", printable(name));
      if (!layout_.functions.emplace(name, ObjectLayout::Function{*place, entry.st_size}).second)
        throw Error("machine code: function {} is defined twice", printable(name));
    }
  }

  void read_relocations(size_t section) {
    const Elf64_Shdr& header = headers_[section];
    if (header.sh_type != SHT_RELA && header.sh_type != SHT_REL) return;
    if (header.sh_info >= headers_.size())
      throw Error("machine code: section {} relocates one that does not exist", section_name(section));
    if (!image_offset_[header.sh_info]) return;  // debug information, unwind tables
    if (header.sh_type == SHT_REL || header.sh_entsize != sizeof(Elf64_Rela) || header.sh_link != *symbols_ ||
        header.sh_size % sizeof(Elf64_Rela) != 0 || !inside(header.sh_offset, header.sh_size))
      throw Error("machine code: section {} is no table of relocations", section_name(section));
    const size_t count = header.sh_size / sizeof(Elf64_Rela);
    if (layout_.patches.size() + count > kMostRelocations)
      throw Error("machine code: more than {} relocations", kMostRelocations);
    for (size_t i = 0; i < count; ++i)
      relocate(header.sh_info, at<Elf64_Rela>(header.sh_offset + i * sizeof(Elf64_Rela)));
  }

  void relocate(size_t section, const Elf64_Rela& relocation) {
    const uint32_t type = ELF64_R_TYPE(relocation.r_info);
    const size_t index = ELF64_R_SYM(relocation.r_info);
    if (index == 0 || index >= symbol_count())
      throw Error("machine code: a relocation in {} names no symbol", section_name(section));
    const Elf64_Sym target = symbol(index);
    if (type != R_X86_64_PC32 && type != R_X86_64_PLT32)
      throw Error(
          "machine code: relocation {} of symbol {} is not supported; only R_X86_64_PC32 and PLT32 are",
          relocation_name(type), symbol_name(target));
    const Elf64_Shdr& header = headers_[section];
    if (header.sh_type == SHT_NOBITS || relocation.r_offset > header.sh_size ||
        sizeof(int32_t) > header.sh_size - relocation.r_offset)
      throw Error("machine code: a relocation in {} is out of bounds", section_name(section));
    const std::optional<size_t> place = place_of(target);
    if (!place)
      throw Error("machine code: a relocation in {} refers to symbol {}, which is not loaded",
                  section_name(section), symbol_name(target));
    // Places are below kMostObjectBytes, so that with an addend of 32 bits nothing overflows.
    constexpr int64_t kLeast = std::numeric_limits<int32_t>::min(),
                      kMost = std::numeric_limits<int32_t>::max();
    const size_t from = *image_offset_[section] + relocation.r_offset;
    const int64_t addend = relocation.r_addend;
    const bool near = addend >= kLeast && addend <= kMost;
    const int64_t distance = static_cast<int64_t>(*place) - static_cast<int64_t>(from) + (near ? addend : 0);
    if (!near || distance < kLeast || distance > kMost)
      throw Error("machine code: a relocation of symbol {} does not fit 32 bits", symbol_name(target));
    layout_.patches.push_back({from, static_cast<int32_t>(distance)});
  }

  std::span<const std::byte> elf_;
  std::vector<Elf64_Shdr> headers_;
  std::vector<std::optional<size_t>> image_offset_;  // of each section; nullopt: not laid out
  size_t section_names_ = 0;
  std::optional<size_t> symbols_;
  ObjectLayout layout_;
};

}  // namespace

ObjectLayout check_object(std::span<const std::byte> elf) {
  return ObjectReader(elf).read();
}

void write_image(const ObjectLayout& layout, std::span<const std::byte> elf, std::span<std::byte> image) {
  REPRISE_CHECK(image.size() == layout.image_bytes, "an image of {} bytes for {}", image.size(),
                layout.image_bytes);
  constexpr int kTrap = 0xcc;
  std::memset(image.data(), kTrap, layout.code_bytes);
  std::memset(image.data() + layout.code_bytes, 0, image.size() - layout.code_bytes);
  for (const ObjectLayout::Section& section : layout.sections)
    if (!section.zeros)
      std::memcpy(image.data() + section.image_offset, elf.data() + section.file_offset, section.bytes);
  for (const ObjectLayout::Patch& patch : layout.patches)
    std::memcpy(image.data() + patch.image_offset, &patch.value, sizeof(patch.value));
}

ObjectCode ObjectCode::load(std::span<const std::byte> elf) {
  ObjectLayout layout = check_object(elf);
  ObjectCode code;
  void* const memory =
      mmap(nullptr, layout.image_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    throw Error("machine code: no memory for {} bytes: {}", layout.image_bytes, std::strerror(errno));
  code.image_ = static_cast<std::byte*>(memory);
  code.bytes_ = layout.image_bytes;
  code.functions_ = std::move(layout.functions);
  write_image(layout, elf, {code.image_, code.bytes_});
  if (mprotect(code.image_, layout.code_bytes, PROT_READ | PROT_EXEC) != 0 ||
      (code.bytes_ > layout.code_bytes &&
       mprotect(code.image_ + layout.code_bytes, code.bytes_ - layout.code_bytes, PROT_READ) != 0))
    throw Error(
        "machine code: this system does not let a program run code that it made: {}; use graph_opt_level 1",
        std::strerror(errno));
  return code;
}

ObjectCode::ObjectCode(ObjectCode&& other) noexcept
    : image_(std::exchange(other.image_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      functions_(std::move(other.functions_)),
      debugger_(std::move(other.debugger_)) {}

ObjectCode& ObjectCode::operator=(ObjectCode&& other) noexcept {
  std::swap(image_, other.image_);
  std::swap(bytes_, other.bytes_);
  std::swap(functions_, other.functions_);
  std::swap(debugger_, other.debugger_);
  return *this;
}

ObjectCode::~ObjectCode() {
  debugger_.reset();
  if (image_) munmap(image_, bytes_);
}

void* ObjectCode::function(std::string_view name) const {
  const auto found = functions_.find(name);
  if (found == functions_.end()) throw Error("machine code: the object has no function {}", printable(name));
  return image_ + found->second.image_offset;
}

void ObjectCode::note_for_perf(std::string_view name) const {
  // Anybody can make a file of this name in advance: no link is followed, and only a file of this user is
  // used.
  const std::string path = fmt::format("/tmp/perf-{}.map", getpid());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return;
  struct stat status;
  if (fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid())
    for (const auto& [function, place] : functions_) {
      // One write a line, so that lines of several threads do not mix.
      const std::string line =
          fmt::format("{:x} {:x} {}:{}\n", reinterpret_cast<uintptr_t>(image_) + place.image_offset,
                      place.bytes, printable(name), printable(function));
      if (write(file, line.data(), line.size()) < 0) break;
    }
  close(file);
}

void ObjectCode::note_for_gdb(std::string_view name) {
  std::string word = printable(name);
  std::ranges::replace(word, '.', '_');  // gdb takes a.b for a mangled name of Ada, and shows a[b]
  std::vector<DebuggerFunction> shown;
  for (const auto& [function, place] : functions_)
    shown.push_back({word, image_ + place.image_offset, place.bytes});
  debugger_ = std::make_unique<DebuggerEntry>(shown);
}

}  // namespace reprise::codegen
