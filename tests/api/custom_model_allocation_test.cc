// Values of a model from outside the tree cost no heap: a steady step of it allocates nothing.
#include <gtest/gtest.h>

#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "engine/engine.h"
#include "models/load_model.h"
#include "tests/api/plain_llama.h"
#include "tests/count_new.h"

namespace reprise {
namespace {

TEST(CustomModelAllocation, ASteadyStepAllocatesNothing) {
  const Op twice = register_op(
      {.name = "test_twice", .run = [](const float* x, float* y, int64_t rows, int64_t columns) noexcept {
         for (int64_t i = 0; i < rows * columns; ++i) y[i] = x[i] + x[i];
       }});
  register_model_family(plain_llama("AllocatingLlama", {.activation = twice}));
  weights::ModelConfig config;
  config.architecture = "AllocatingLlama";
  config.vocab_size = 300;
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 256;

  ThreadTeam team(2);
  CpuDevice device(team, Isa::scalar);
  engine::Engine engine(models::load_model(config, nullptr, DType::bf16, team, device), device,
                        {.max_model_len = 128, .max_num_seqs = 4, .block_size = 16},
                        [](const engine::OutputEvent&) {});
  for (int32_t i = 1; i < 4; ++i) engine.submit({{i, i + 1, i + 2}, {.max_tokens = 90}});
  for (int i = 0; i < 10; ++i) engine.step();  // prompts, and storage that grows once
  const int64_t before = allocations();
  for (int i = 0; i < 60; ++i) engine.step();
  EXPECT_EQ(allocations(), before);
  EXPECT_EQ(engine.stats().running, 3);
}

}  // namespace
}  // namespace reprise
