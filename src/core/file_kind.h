// Recognises files that are not what their names say, which is what most failed downloads leave behind: Git
// LFS pointers, web pages, archives, empty and unfinished files. Readers of a checkpoint's files use it to
// say so instead of an error about the first byte that they don't understand. Threads: any.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace reprise {

// What the file plainly is and how to get the right one, as the end of a sentence: "a Git LFS pointer, not
// the file itself (...); run `git lfs pull` in its folder". Empty when nothing wrong was
// recognised. `head`: the first bytes, 512 are enough; `size`: of the whole file.
std::string wrong_file_text(std::string_view head, uint64_t size);

// Throws Error "PATH is ..." when wrong_file_text() knows the file, or its name is that of an unfinished
// download.
void refuse_wrong_file(std::string_view head, uint64_t size, const std::filesystem::path& path);
// The same, but reads head and size from `path`. Where that fails it returns: whoever reads the file next
// reports it.
void refuse_wrong_file(const std::filesystem::path& path);

// read_file() (core/json.h) for a text file of a checkpoint, with refuse_wrong_file().
std::string read_checkpoint_file(const std::filesystem::path& path, size_t max_bytes = size_t{1} << 30);

}  // namespace reprise
