#include "weights/gguf_checkpoint.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "core/error.h"
#include "weights/dequantize.h"

namespace reprise::weights {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kTopNames = {{
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
}};

constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kLayerNames = {{
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
}};

template <size_t N>
std::string_view renamed(const std::array<std::pair<std::string_view, std::string_view>, N>& table,
                         std::string_view name) {
  for (const auto& [from, to] : table)
    if (from == name) return to;
  return {};
}

}  // namespace

std::string hf_name_of_gguf(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return std::string(name);
  const std::string_view stem = name.substr(0, dot);
  const std::string_view suffix = name.substr(dot);  // ".weight" or ".bias"
  if (const auto top = renamed(kTopNames, stem); !top.empty()) return fmt::format("{}{}", top, suffix);
  constexpr std::string_view kBlock = "blk.";
  if (!stem.starts_with(kBlock)) return std::string(name);
  const std::string_view rest = stem.substr(kBlock.size());
  const size_t end = rest.find('.');
  if (end == 0 || end == std::string_view::npos) return std::string(name);
  const std::string_view layer = rest.substr(0, end);
  if (!std::ranges::all_of(layer, [](char c) { return c >= '0' && c <= '9'; })) return std::string(name);
  const auto part = renamed(kLayerNames, rest.substr(end + 1));
  if (part.empty()) return std::string(name);
  return fmt::format("model.layers.{}.{}{}", layer, part, suffix);
}

GgufCheckpoint::GgufCheckpoint(const std::filesystem::path& path) : file_(path) {
  if (const int64_t parts = file_.metadata().integer("split.count").value_or(1); parts > 1)
    throw Error("{}: one of {} parts of a split GGUF file; join them with llama-gguf-split --merge",
                description(), parts);
  for (const auto& [name, tensor] : file_.tensors()) {
    const auto [it, added] =
        tensors_.emplace(hf_name_of_gguf(name), Entry{&tensor, reordered_head_rows(tensor)});
    if (!added) throw Error("{}: two tensors for '{}'; the file is damaged", description(), it->first);
  }
}

int64_t GgufCheckpoint::reordered_head_rows(const FileTensor& tensor) const {
  const GgufMetadata& metadata = file_.metadata();
  const std::string_view architecture = metadata.string("general.architecture").value_or("");
  if (architecture != "llama" && architecture != "mistral") return 0;
  const bool query = tensor.name.find(".attn_q.") != std::string::npos;
  const bool key = tensor.name.find(".attn_k.") != std::string::npos;
  if (!query && !key) return 0;
  const std::string prefix = std::string(architecture) + ".attention.head_count";
  std::optional<int64_t> heads = key ? metadata.uniform_integer(prefix + "_kv") : std::nullopt;
  if (!heads) heads = metadata.uniform_integer(prefix);
  const int64_t outputs = tensor.info.shape.front();
  if (!heads || *heads <= 0 || outputs % *heads != 0 || outputs / *heads % 2 != 0)
    throw Error(
        "{}: tensor '{}' has {} rows, which {} heads ({}) do not divide into pairs; the file is damaged",
        description(), tensor.name, outputs, heads.value_or(0), prefix);
  return outputs / *heads;
}

int64_t GgufCheckpoint::Entry::file_row(int64_t row) const {
  if (head_rows == 0) return row;
  const int64_t in_head = row % head_rows;
  const int64_t half = head_rows / 2;
  return row - in_head + in_head % half * 2 + in_head / half;
}

const GgufCheckpoint::Entry& GgufCheckpoint::at(std::string_view name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) throw_missing_tensor(description(), name, names());
  return it->second;
}

std::vector<std::string> GgufCheckpoint::names() const {
  std::vector<std::string> names;
  names.reserve(tensors_.size());
  for (const auto& [name, entry] : tensors_) names.push_back(name);
  return names;
}

void GgufCheckpoint::read_rows_f32(std::string_view name, int64_t begin, int64_t end, float* out) const {
  const Entry& entry = at(name);
  const TensorInfo& info = entry.tensor->info;
  if (!can_dequantize(info.type))
    throw Error(
        "{}: tensor '{}' ('{}') is stored as {}, which is not supported; requantise the model to Q8_0, Q6_K, "
        "Q5_K, Q4_K, Q5_0, Q5_1, Q4_0, Q4_1, F16, BF16 or F32",
        description(), entry.tensor->name, name, traits_of(info.type).name);
  REPRISE_CHECK(0 <= begin && begin <= end && end <= info.rows(), "rows {}..{} of '{}' with {}", begin, end,
                name, info.rows());
  const std::byte* data = entry.tensor->data.data();
  const int64_t columns = info.columns();
  if (entry.head_rows == 0) {
    dequantize_row(info.type, data + begin * info.row_bytes(), out, (end - begin) * columns);
  } else if (info.shape.size() == 1) {
    // A bias: its elements are reordered as the rows of its weight are.
    std::vector<float> values(static_cast<size_t>(columns));
    dequantize_row(info.type, data, values.data(), columns);
    if (begin < end)
      for (int64_t i = 0; i < columns; ++i) out[i] = values[static_cast<size_t>(entry.file_row(i))];
  } else {
    for (int64_t row = begin; row < end; ++row, out += columns)
      dequantize_row(info.type, data + entry.file_row(row) * info.row_bytes(), out, columns);
  }
}

const std::byte* GgufCheckpoint::row_bytes(std::string_view name, int64_t row) const {
  const Entry& entry = at(name);
  const TensorInfo& info = entry.tensor->info;
  REPRISE_CHECK(0 <= row && row < info.rows(), "row {} of '{}' with {}", row, name, info.rows());
  if (entry.head_rows != 0 && info.shape.size() == 1) return nullptr;
  return entry.tensor->data.data() + (entry.head_rows != 0 ? entry.file_row(row) : row) * info.row_bytes();
}

std::optional<std::span<const std::byte>> GgufCheckpoint::raw(std::string_view name) const {
  const Entry& entry = at(name);
  const StoredType type = entry.tensor->info.type;
  if (entry.head_rows != 0) return std::nullopt;
  if (type != StoredType::f32 && type != StoredType::f16 && type != StoredType::bf16) return std::nullopt;
  return entry.tensor->data;
}

void GgufCheckpoint::release(std::string_view name) const {
  file_.file().check();
  file_.file().release(at(name).tensor->data);
}

}  // namespace reprise::weights
