#include "models/load_model.h"

#include <utility>

#include "core/error.h"
#include "models/registry.h"
#include "weights/dummy_checkpoint.h"

namespace reprise::models {
namespace {

using NamedShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

std::unique_ptr<Model> make(const weights::ModelConfig& config, const weights::Checkpoint* source,
                            DType dtype, ThreadTeam& team, const Device& device, MemorySpace& memory,
                            NamedShapes* requested) {
  if (dtype != DType::f32 && dtype != DType::bf16)
    throw Error("[load] compute dtype {}; use float32 or bfloat16", name_of(dtype));
  auto store = std::make_unique<HeapStore>(BufferKind::weight, memory);
  WeightLoader loader(source, *store, device.weight_packer(), team, dtype);
  std::unique_ptr<Model> model = find_family(config.architecture).make(config, loader);
  // Copied first: once the store has moved nothing may throw, or it would go away before the model's tensors.
  WeightNames names = loader.names();
  model->own(std::move(store), std::move(names), loader.digest());
  if (requested != nullptr) *requested = loader.requested();
  return model;
}

// `tensors`: what the model asks for.
std::unique_ptr<const Model> make_skeleton(const weights::ModelConfig& config, DType dtype,
                                           const Device& device, MemorySpace& memory, NamedShapes* tensors) {
  ThreadTeam alone(1);
  return make(config, nullptr, dtype, alone, device, memory, tensors);
}

}  // namespace

std::unique_ptr<const Model> load_model(const weights::ModelConfig& config,
                                        const weights::Checkpoint* checkpoint, DType dtype, ThreadTeam& team,
                                        Device& device) {
  if (checkpoint != nullptr) return make(config, checkpoint, dtype, team, device, device.memory(), nullptr);
  NamedShapes tensors;
  make_skeleton(config, dtype, device, host_memory(), &tensors);
  const weights::DummyCheckpoint random(std::move(tensors));
  return make(config, &random, dtype, team, device, device.memory(), nullptr);
}

std::unique_ptr<const Model> model_skeleton(const weights::ModelConfig& config, DType dtype, Device& device) {
  return make_skeleton(config, dtype, device, device.memory(), nullptr);
}

WeightSize measure_weights(const weights::ModelConfig& config, DType dtype, const Device& device) {
  NamedShapes tensors;
  WeightSize size{.bytes = make_skeleton(config, dtype, device, host_memory(), &tensors)->weight_bytes(),
                  .parameters = 0};
  for (const auto& [name, shape] : tensors) {
    int64_t elements = 1;
    for (int64_t dimension : shape) elements *= dimension;
    size.parameters += elements;
  }
  return size;
}

}  // namespace reprise::models
