// A GGUF file seen under Hugging Face names.
//
// llama.cpp reorders the rows of q_proj and k_proj for the architectures whose rotary embedding it computes
// on neighbouring pairs (general.architecture "llama", which serves Mistral too): within each head, row 2i +
// j of the file is row j * head_dim / 2 + i of the original. This class undoes that, so that models see one
// convention.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "weights/checkpoint.h"
#include "weights/gguf.h"

namespace reprise::weights {

// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; a name without a counterpart stays as it
// is.
std::string hf_name_of_gguf(std::string_view name);

class GgufCheckpoint : public Checkpoint {
 public:
  // Throws Error for a damaged file, for one part of a split file, and for head counts that do not fit the
  // tensors.
  explicit GgufCheckpoint(const std::filesystem::path& path);

  const GgufFile& file() const { return file_; }

  bool has(std::string_view name) const override { return tensors_.find(name) != tensors_.end(); }
  const TensorInfo& info(std::string_view name) const override { return at(name).tensor->info; }
  std::vector<std::string> names() const override;
  void read_rows_f32(std::string_view name, int64_t begin, int64_t end, float* out) const override;
  const std::byte* row_bytes(std::string_view name, int64_t row) const override;
  std::optional<std::span<const std::byte>> raw(std::string_view name) const override;
  void release(std::string_view name) const override;
  std::string description() const override { return file_.file().path(); }

 private:
  struct Entry {
    const FileTensor* tensor;
    int64_t head_rows = 0;  // rows of a head when the rows are reordered, 0 when not

    int64_t file_row(int64_t row) const;
  };

  const Entry& at(std::string_view name) const;
  int64_t reordered_head_rows(const FileTensor& tensor) const;

  GgufFile file_;
  std::map<std::string, Entry, std::less<>> tensors_;  // by Hugging Face name
};

}  // namespace reprise::weights
