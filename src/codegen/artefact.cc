#include "codegen/artefact.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <system_error>

#include "codegen/file_bytes.h"
#include "codegen/verdict.h"
#include "core/error.h"
#include "core/text_output.h"

namespace reprise::codegen {
namespace {

constexpr uint64_t kMostArtefactBytes = uint64_t{1} << 30;

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Artefact Artefact::open(const std::string& path) {
  const auto fail = [&](std::string_view reason) -> Error {
    return Error("[--compiled] cannot read {}: {}; name a file that `reprise compile` wrote", path, reason);
  };
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info {};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) throw fail(std::generic_category().message(errno));
  if (!S_ISREG(info.st_mode)) throw fail("it is not a regular file");
  const auto size = static_cast<uint64_t>(info.st_size);
  if (size > kMostArtefactBytes) throw fail(fmt::format("it has {} bytes, more than any artefact", size));
  return parse(read_bytes(file.get(), size), path);
}

Artefact Artefact::parse(std::vector<std::byte> bytes, const std::string& name) {
  Artefact artefact;
  artefact.bytes_ = std::move(bytes);
  try {
    artefact.file_ = parse_kernel_file(KernelFileKind::artefact, artefact.bytes_);
    for (const KernelPair& pair : artefact.file_.pairs)
      if (!pair.note.empty()) static_cast<void>(parse_verdict(pair.note));
  } catch (const Error& e) {
    throw Error("[--compiled] {} {}; make it again with `reprise compile`", name, e.what());
  }
  return artefact;
}

void Artefact::write(const std::string& path, const std::string& flag, std::string_view about,
                     const std::vector<KernelPair>& pairs) {
  TextOutput out(path, flag);
  out.write(as_text(kernel_file_bytes(KernelFileKind::artefact, about, pairs)));
  out.close();
}

}  // namespace reprise::codegen
