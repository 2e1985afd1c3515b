#include "core/file_kind.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "core/error.h"
#include "core/json.h"

namespace reprise {
namespace {

using namespace std::string_view_literals;

struct Magic {
  size_t offset;
  std::string_view bytes;
  std::string_view is;
};

constexpr std::string_view kSafetensorsOrGguf =
    "; safetensors and GGUF files are read: fetch or convert to one of them";
constexpr std::string_view kUnpack = "; unpack it and give what is inside";

constexpr Magic kMagics[] = {
    {0, "PK\x03\x04"sv, "a zip archive, as PyTorch's .bin and .pt files are"},
    {0, "\x80\x02"sv, "a Python pickle, as older PyTorch files are"},
    {0, "\x80\x03"sv, "a Python pickle, as older PyTorch files are"},
    {0, "\x80\x04"sv, "a Python pickle, as older PyTorch files are"},
    {0, "\x80\x05"sv, "a Python pickle, as older PyTorch files are"},
    {0, "\x89HDF\r\n"sv, "an HDF5 file, as TensorFlow's .h5 files are"},
    {0, "lmgg"sv, "a model file of llama.cpp from before GGUF"},
    {0, "fmgg"sv, "a model file of llama.cpp from before GGUF"},
    {0, "tjgg"sv, "a model file of llama.cpp from before GGUF"},
};
constexpr Magic kArchives[] = {
    {0, "\x1f\x8b"sv, "a gzip archive"},
    {0, "\x28\xb5\x2f\xfd"sv, "a zstd archive"},
    {0,
     "\xfd"
     "7zXZ"sv,
     "an xz archive"},
    {0, "BZh"sv, "a bzip2 archive"},
    {257, "ustar"sv, "a tar archive"},
};

bool matches(const Magic& magic, std::string_view head) {
  return head.size() >= magic.offset && head.substr(magic.offset).starts_with(magic.bytes);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// "size 538090408" of a pointer file; empty where it has none.
std::string lfs_size(std::string_view head) {
  constexpr std::string_view kSize = "\nsize ";
  const size_t at = head.find(kSize);
  if (at == head.npos) return "";
  const std::string_view rest = head.substr(at + kSize.size());
  size_t digits = 0;
  while (digits < rest.size() && digits < 20 && rest[digits] >= '0' && rest[digits] <= '9') ++digits;
  return digits == 0 ? "" : fmt::format(" of {} bytes", rest.substr(0, digits));
}

}  // namespace

std::string wrong_file_text(std::string_view head, uint64_t size) {
  if (size == 0) return "empty; fetch it again";
  if (head.starts_with("version https://git-lfs.github.com/spec/") ||
      head.starts_with("version https://hawser.github.com/spec/"))
    return fmt::format(
        "a Git LFS pointer, not the file{} itself; run `git lfs install` and `git lfs pull` in its folder, "
        "or download the file",
        lfs_size(head));
  for (const Magic& magic : kMagics)
    if (matches(magic, head)) return fmt::format("{}{}", magic.is, kSafetensorsOrGguf);
  for (const Magic& magic : kArchives)
    if (matches(magic, head)) return fmt::format("{}{}", magic.is, kUnpack);
  const size_t begin = head.find_first_not_of("\xEF\xBB\xBF \t\r\n");
  const std::string text = begin == head.npos ? std::string() : lower(head.substr(begin, 64));
  if (text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<head") ||
      text.starts_with("<body"))
    return "an HTML page, which a server sent in place of the file (a login or error page); download the "
           "file itself";
  if (text.starts_with("<?xml") || text.starts_with("<error"))
    return "an XML page, which a server sent in place of the file (an error message); download the file "
           "itself";
  for (std::string_view answer : {"entry not found", "repository not found", "invalid username or password",
                                  "invalid credentials", "access to model", "not found", "unauthorized"})
    if (text.starts_with(answer))
      return "a server's error message, not the file itself; check the address and your access, and download "
             "it again";
  if (std::ranges::all_of(head, [](char c) { return c == '\0'; }) && head.size() >= 16)
    return "filled with zero bytes, as an unfinished download is; fetch it again";
  return "";
}

void refuse_wrong_file(std::string_view head, uint64_t size, const std::filesystem::path& path) {
  if (const std::string is = wrong_file_text(head, size); !is.empty())
    throw Error("{} is {}", path.string(), is);
  const std::string extension = lower(path.extension().string());
  for (std::string_view unfinished :
       {".part", ".partial", ".incomplete", ".crdownload", ".download", ".aria2"})
    if (extension == unfinished)
      throw Error("{} is an unfinished download, as its name says; finish it and give the file without '{}'",
                  path.string(), unfinished);
}

void refuse_wrong_file(const std::filesystem::path& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return;
  const uint64_t size = std::filesystem::file_size(path, error);
  std::ifstream in(path, std::ios::binary);
  if (error || !in) return;
  std::array<char, 512> head = {};
  in.read(head.data(), head.size());
  refuse_wrong_file({head.data(), static_cast<size_t>(in.gcount())}, size, path);
}

std::string read_checkpoint_file(const std::filesystem::path& path, size_t max_bytes) {
  std::string bytes = read_file(path, max_bytes);
  refuse_wrong_file(std::string_view(bytes).substr(0, 512), bytes.size(), path);
  return bytes;
}

}  // namespace reprise
