#include "models/load_model.h"

#include "core/error.h"
#include "models/registry.h"
#include "weights/dummy_checkpoint.h"

namespace reprise::models {
namespace {

using NamedShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

std::unique_ptr<Model> make(const weights::ModelConfig& config, const weights::Checkpoint* source,
                            DType dtype, ThreadTeam& team, NamedShapes* requested) {
  if (dtype != DType::f32 && dtype != DType::bf16)
    throw Error("[load] compute dtype {}; use float32 or bfloat16", name_of(dtype));
  auto store = std::make_unique<HeapStore>(BufferKind::weight);
  WeightLoader loader(source, *store, team, dtype);
  std::unique_ptr<Model> model = find_family(config.architecture).make(config, loader);
  model->own(std::move(store), loader.names());
  if (requested != nullptr) *requested = loader.requested();
  return model;
}

// The tensors that the model asks for, without reading any. Memory is mapped but never touched.
NamedShapes list_tensors(const weights::ModelConfig& config, DType dtype, size_t* bytes) {
  ThreadTeam alone(1);
  NamedShapes tensors;
  const auto model = make(config, nullptr, dtype, alone, &tensors);
  if (bytes != nullptr) *bytes = model->weight_bytes();
  return tensors;
}

}  // namespace

std::unique_ptr<const Model> load_model(const weights::ModelConfig& config,
                                        const weights::Checkpoint* checkpoint, DType dtype,
                                        ThreadTeam& team) {
  if (checkpoint != nullptr) return make(config, checkpoint, dtype, team, nullptr);
  const weights::DummyCheckpoint random(list_tensors(config, dtype, nullptr));
  return make(config, &random, dtype, team, nullptr);
}

WeightSize measure_weights(const weights::ModelConfig& config, DType dtype) {
  WeightSize size;
  for (const auto& [name, shape] : list_tensors(config, dtype, &size.bytes)) {
    int64_t elements = 1;
    for (int64_t dimension : shape) elements *= dimension;
    size.parameters += elements;
  }
  return size;
}

}  // namespace reprise::models
