#include "weights/safetensors_checkpoint.h"

#include <simdjson.h>

#include <algorithm>
#include <map>
#include <utility>

#include "core/error.h"
#include "core/file_kind.h"
#include "weights/dequantize.h"
#include "weights/safetensors.h"

namespace reprise::weights {
namespace {

namespace fs = std::filesystem;
namespace dom = simdjson::dom;

class SafetensorsCheckpoint : public Checkpoint {
 public:
  explicit SafetensorsCheckpoint(std::string description) : description_(std::move(description)) {}

  void add_file(const fs::path& path) {
    const SafetensorsFile& file = *files_.emplace_back(std::make_unique<SafetensorsFile>(path));
    for (const auto& [name, tensor] : file.tensors()) {
      const auto [it, added] = tensors_.emplace(name, Entry{&tensor, &file.file()});
      if (!added)
        throw Error("{}: tensor '{}' is in both {} and {}; remove one of the files", description_, name,
                    it->second.file->path(), path.string());
    }
  }

  // Gives the tensors of a decoder the names of a causal language model. Files saved from a base model, from
  // a wrapped or compiled one, or from a model that also sees, have another prefix in place of "model.".
  // Changes nothing where one of the prefixes below is not certain.
  void use_causal_names() {
    if (has("model.embed_tokens.weight") || has("model.layers.0.input_layernorm.weight")) return;
    for (const auto& [backbone, head] : kPrefixes) {
      if (!has(std::string(backbone) + "layers.0.input_layernorm.weight") ||
          !has(std::string(backbone) + "norm.weight"))
        continue;
      std::map<std::string, Entry, std::less<>> renamed;
      for (const auto& [name, entry] : tensors_)
        if (!renamed.emplace(causal_name(name, backbone, head), entry).second) return;  // not certain
      tensors_ = std::move(renamed);
      return;
    }
  }

  bool has(std::string_view name) const override { return tensors_.find(name) != tensors_.end(); }
  const TensorInfo& info(std::string_view name) const override { return at(name).tensor->info; }
  std::string description() const override { return description_; }

  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    names.reserve(tensors_.size());
    for (const auto& [name, entry] : tensors_) names.push_back(name);
    return names;
  }

  void read_rows_f32(std::string_view name, int64_t begin, int64_t end, float* out) const override {
    const FileTensor& tensor = *at(name).tensor;
    if (!can_dequantize(tensor.info.type))
      throw Error(
          "{}: tensor '{}' is stored as {}, which cannot be turned into f32; convert it to F32, F16 or BF16",
          description_, name, traits_of(tensor.info.type).name);
    REPRISE_CHECK(0 <= begin && begin <= end && end <= tensor.info.rows(), "rows {}..{} of '{}' with {}",
                  begin, end, name, tensor.info.rows());
    dequantize_row(tensor.info.type, tensor.data.data() + begin * tensor.info.row_bytes(), out,
                   (end - begin) * tensor.info.columns());
  }

  const std::byte* row_bytes(std::string_view name, int64_t row) const override {
    const FileTensor& tensor = *at(name).tensor;
    REPRISE_CHECK(0 <= row && row < tensor.info.rows(), "row {} of '{}' with {}", row, name,
                  tensor.info.rows());
    return tensor.data.data() + row * tensor.info.row_bytes();
  }

  std::optional<std::span<const std::byte>> raw(std::string_view name) const override {
    const FileTensor& tensor = *at(name).tensor;
    const StoredType type = tensor.info.type;
    if (type != StoredType::f32 && type != StoredType::f16 && type != StoredType::bf16) return std::nullopt;
    return tensor.data;
  }

  void release(std::string_view name) const override {
    const Entry& entry = at(name);
    entry.file->check();
    entry.file->release(entry.tensor->data);
  }

 private:
  struct Entry {
    const FileTensor* tensor;
    const MappedFile* file;
  };

  // Of the layers, and of the head.
  static constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
      {"", ""},                                      // AutoModel: the base model alone
      {"model.language_model.", ""},                 // models that also see
      {"language_model.model.", "language_model."},  // the same, older
      {"_orig_mod.model.", "_orig_mod."},            // torch.compile
      {"module.model.", "module."},                  // DistributedDataParallel
  };

  static std::string causal_name(std::string_view name, std::string_view backbone, std::string_view head) {
    const std::string_view rest = name.substr(std::min(name.size(), backbone.size()));
    if (name.starts_with(backbone) &&
        (rest.starts_with("layers.") || rest.starts_with("embed_tokens.") || rest.starts_with("norm.")))
      return "model." + std::string(rest);
    if (!head.empty() && name.starts_with(head) && name.substr(head.size()).starts_with("lm_head."))
      return std::string(name.substr(head.size()));
    return std::string(name);
  }

  const Entry& at(std::string_view name) const {
    const auto it = tensors_.find(name);
    if (it == tensors_.end()) throw_missing_tensor(description_, name, names());
    return it->second;
  }

  std::string description_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, Entry, std::less<>> tensors_;
};

// Ten times what the largest models need.
constexpr size_t kMaxIndexBytes = size_t{100} << 20;
constexpr size_t kMaxIndexEntries = size_t{1} << 20;

// tensor -> file of model.safetensors.index.json.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const std::string what = path.string();
  const simdjson::padded_string text(read_checkpoint_file(path, kMaxIndexBytes));
  dom::parser parser;
  dom::object root, weight_map;
  if (const auto code = parser.allocate(text.size(), 16))
    throw Error("{}: {}", what, simdjson::error_message(code));
  if (const auto code = parser.parse(text).get(root))
    throw Error("{}: malformed index: {}", what, simdjson::error_message(code));
  if (root["weight_map"].get(weight_map))
    throw Error("{}: no object 'weight_map', which names the file of each tensor", what);
  std::map<std::string, std::string> files;
  for (const auto& [tensor, value] : weight_map) {
    if (files.size() >= kMaxIndexEntries)
      throw Error("{}: more than {} tensors; the file is damaged, fetch it again", what, kMaxIndexEntries);
    std::string_view file;
    if (value.get(file)) throw Error("{}: the file of tensor '{}' is no string", what, tensor);
    // A plain name only: an index must not lead out of its folder.
    if (file.empty() || file == "." || file == ".." || file.find('/') != std::string_view::npos ||
        file.find('\0') != std::string_view::npos)
      throw Error("{}: the file of tensor '{}' is '{}'; expected the plain name of a file in the same folder",
                  what, tensor, file);
    if (!files.emplace(tensor, file).second) throw Error("{}: tensor '{}' is there twice", what, tensor);
  }
  if (files.empty()) throw Error("{}: 'weight_map' is empty", what);
  return files;
}

std::unique_ptr<Checkpoint> open_sharded(const fs::path& folder, const fs::path& index) {
  const auto file_of = read_index(index);
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>(folder.string());
  std::vector<std::string> shards;
  for (const auto& [tensor, file] : file_of) shards.push_back(file);
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  for (const std::string& shard : shards) {
    if (!fs::exists(folder / shard))
      throw Error(
          "{} names the file {}, which is not in the folder; the checkpoint is incomplete, fetch it again",
          index.string(), shard);
    checkpoint->add_file(folder / shard);
  }
  for (const auto& [tensor, file] : file_of)
    if (!checkpoint->has(tensor))
      throw Error(
          "{} places tensor '{}' in {}, which does not hold it; the checkpoint is damaged, fetch it again",
          index.string(), tensor, file);
  checkpoint->use_causal_names();
  return checkpoint;
}

}  // namespace

std::unique_ptr<Checkpoint> open_safetensors_file(const fs::path& file) {
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>(file.string());
  checkpoint->add_file(file);
  checkpoint->use_causal_names();
  return checkpoint;
}

std::unique_ptr<Checkpoint> open_safetensors_folder(const fs::path& folder) {
  if (const fs::path index = folder / "model.safetensors.index.json"; fs::exists(index))
    return open_sharded(folder, index);
  if (const fs::path single = folder / "model.safetensors"; fs::exists(single))
    return open_safetensors_file(single);
  std::vector<fs::path> files;
  std::string instead;  // what the folder holds, for the error
  std::error_code code;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    const std::string name = it->path().filename().string();
    const std::string extension = it->path().extension().string();
    if (extension == ".safetensors")
      files.push_back(it->path());
    else if (extension == ".gguf")
      instead = fmt::format("; to use {}, give the path of that file", name);
    else if (extension == ".bin" || extension == ".pth" || extension == ".pt")
      instead = fmt::format("; PyTorch files such as {} are not read, convert them to safetensors", name);
    else if (name.ends_with(".safetensors.part") || name.ends_with(".incomplete"))
      instead = fmt::format("; {} is an unfinished download", name);
  }
  if (code) throw Error("cannot list {}: {}", folder.string(), code.message());
  if (files.empty())
    throw Error(
        "{} holds no weights: no model.safetensors, no model.safetensors.index.json, no *.safetensors{}",
        folder.string(), instead);
  std::sort(files.begin(), files.end());
  auto checkpoint = std::make_unique<SafetensorsCheckpoint>(folder.string());
  for (const fs::path& file : files) checkpoint->add_file(file);
  checkpoint->use_causal_names();
  return checkpoint;
}

}  // namespace reprise::weights
