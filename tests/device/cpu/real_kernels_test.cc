// A small transformer's real kernels, recorded and replayed on more workers than the machine has cores: the
// bits of launching one kernel after another, step for step.
#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "core/profiler.h"
#include "device/cpu/isa_select.h"
#include "kernels/cpu/kv_write.h"
#include "kernels/cpu/pack.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "tests/capture/steps.h"

namespace reprise::cpu {
namespace {

using namespace capture;

constexpr int64_t kHidden = 64, kHeads = 4, kKvHeads = 2, kHeadDim = 16, kInner = 160, kVocab = 97,
                  kLayers = 2;
constexpr int64_t kBlockSize = 16, kMaxLength = 128, kColumns = kMaxLength / kBlockSize, kBatch = 6;
constexpr StepSizes kLargest{.tokens = kBatch, .seqs = kBatch};

class Transformer {
 public:
  Transformer(DType dtype, Isa isa, int threads)
      : team(threads),
        device(team, isa),
        stream(device),
        dtype_(dtype),
        arena_(host_memory(), size_t{4} << 20) {
    embedding_ = matrix(kVocab, kHidden);
    norm_ = floats({kHidden}, 1.0f);
    inv_freq_ = floats({kHeadDim / 2}, 0.01f);
    for (int64_t i = 0; i < kLayers; ++i)
      layers_.push_back({matrix(kHeads * kHeadDim, kHidden), matrix(kKvHeads * kHeadDim, kHidden),
                         matrix(kKvHeads * kHeadDim, kHidden), matrix(kHidden, kHeads * kHeadDim),
                         matrix(kInner, kHidden), matrix(kInner, kHidden), matrix(kHidden, kInner), cache(),
                         cache()});
    for (Tensor* tensor : {&ids_, &positions_, &lengths_, &slots_, &rows_}) {
      *tensor = inputs_.allocate(DType::i32, {kBatch});
      tensor->shape = Shape{kTokens};
    }
    tables_ = inputs_.allocate(DType::i32, {kBatch, kColumns});
    tables_.shape = Shape{kSeqs, kColumns};
    logits_ = state_.allocate(DType::f32, {kBatch, kVocab});
    logits_.shape = Shape{kTokens, kVocab};
    Recorder recorder;
    {
      const RecordingScope scope(stream, recorder);
      forward();
    }
    replay.emplace(std::move(recorder.recording), kLargest, cpu_stream(stream));
  }

  // The step'th token of each of `batch` sequences.
  void fill(int64_t step, int64_t batch) {
    stream.set_sizes({batch, batch});
    for (int64_t row = 0; row < batch; ++row) {
      ids_.as<int32_t>()[row] = static_cast<int32_t>((row * 31 + step * 7) % kVocab);
      positions_.as<int32_t>()[row] = static_cast<int32_t>(step);
      lengths_.as<int32_t>()[row] = static_cast<int32_t>(step + 1);
      rows_.as<int32_t>()[row] = static_cast<int32_t>(row);
      slots_.as<int32_t>()[row] = static_cast<int32_t>((1 + row * kColumns) * kBlockSize + step);
      for (int64_t column = 0; column < kColumns; ++column)
        tables_.as<int32_t>()[row * kColumns + column] = static_cast<int32_t>(1 + row * kColumns + column);
    }
  }

  void forward() {
    arena_.set_sizing(kLargest);
    ops::EagerDispatcher dispatcher(stream, arena_);
    const ops::DispatchScope scope(dispatcher);
    const ops::RotaryAngles angles =
        ops::rotary_angles(positions_, lengths_, inv_freq_, {.rot_dim = kHeadDim, .rounded_to = dtype_});
    const ops::AttentionParams attention{.heads = kHeads,
                                         .kv_heads = kKvHeads,
                                         .head_dim = kHeadDim,
                                         .scale = 0.25,
                                         .block_size = kBlockSize,
                                         .max_model_len = kMaxLength,
                                         .partition_size = 64};
    Tensor x = ops::embedding(ids_, embedding_);
    for (const Layer& layer : layers_) {
      Tensor h = ops::rms_norm(x, norm_, 1e-5);
      const auto turned = [&](const Tensor& weight) {
        return ops::rotary(ops::matmul(h, weight, {}, dtype_), angles, kHeadDim, ops::RotaryStyle::half,
                           true);
      };
      const Tensor q = turned(layer.q), k = turned(layer.k), v = ops::matmul(h, layer.v, {}, dtype_);
      ops::kv_write(k, v, slots_, layer.keys, layer.values, attention);
      const Tensor seen =
          ops::paged_attention(q, layer.keys, layer.values, tables_, rows_, positions_, attention);
      x = ops::add(x, ops::matmul(seen, layer.out, {}, dtype_));
      h = ops::rms_norm(x, norm_, 1e-5);
      const Tensor gate = ops::silu(ops::matmul(h, layer.gate, {}, dtype_));
      x = ops::add(x,
                   ops::matmul(ops::mul(gate, ops::matmul(h, layer.up, {}, dtype_)), layer.down, {}, dtype_));
    }
    stream.copy(ops::matmul(ops::rms_norm(x, norm_, 1e-5), embedding_, {}, DType::f32), logits_);
  }

  // Logits of the step and everything in the caches.
  std::vector<std::byte> state() const {
    std::vector<std::byte> bytes;
    const auto add = [&](const Tensor& tensor) {
      bytes.insert(bytes.end(), tensor.data(), tensor.data() + tensor.extent().eval(stream.sizes()));
    };
    add(logits_);
    for (const Layer& layer : layers_) add(layer.keys), add(layer.values);
    return bytes;
  }

  ThreadTeam team;
  CpuDevice device;
  Stream stream;
  std::optional<TeamReplay> replay;

 private:
  struct Layer {
    Tensor q, k, v, out, gate, up, down, keys, values;
  };

  Tensor matrix(int64_t n, int64_t k) {
    std::normal_distribution<float> normal(0, 0.2f);
    std::vector<float> values(static_cast<size_t>(n * k));
    for (float& value : values) value = normal(random_);
    const Tensor packed = weights_.allocate(dtype_, {n, k}, kernels::cpu::packing_of(dtype_));
    kernels::cpu::pack_rows(dtype_, values.data(), 0, n, n, k, packed.data());
    return packed;
  }
  Tensor floats(Shape shape, float value) {
    const Tensor tensor = weights_.allocate(DType::f32, shape);
    std::fill_n(tensor.as<float>(), shape.elements().constant, value);
    return tensor;
  }
  Tensor cache() {
    return state_.allocate(
        dtype_, {1 + kBatch * kColumns, kv_block_elements(dtype_, kKvHeads, kHeadDim, kBlockSize)});
  }

  DType dtype_;
  StepArena arena_;
  HeapStore weights_{BufferKind::weight, host_memory()}, inputs_{BufferKind::input, host_memory()},
      state_{BufferKind::state, host_memory()};
  std::mt19937 random_{5};
  Tensor embedding_, norm_, inv_freq_, ids_, positions_, lengths_, slots_, rows_, tables_, logits_;
  std::vector<Layer> layers_;
};

TEST(RealKernels, ReplayedOnThreeAndEightThreadsAreTheEagerBits) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Isa isa = cpu::choose_isa(dtype, "auto");
    Transformer eager(dtype, isa, 1), three(dtype, isa, 3), eight(dtype, isa, 8);
    EXPECT_GT(three.replay->recording().launches().size(), 25u);
    Profiler profiler;
    for (int64_t step = 0; step < kMaxLength; ++step) {
      const int64_t batch = 1 + step * 5 % kBatch;
      eager.fill(step, batch);
      eager.forward();
      const std::vector<std::byte> expected = eager.state();
      for (Transformer* replayed : {&three, &eight}) {
        replayed->fill(step, batch);
        const int size = replayed->team.size();
        const int workers = step % 4 == 3 ? 2 + static_cast<int>(step) % (size - 1) : size;
        replayed->replay->run_on({batch, batch}, Sharing(workers, step % 3 == 1), step % 8 == 0);
        if (step % 8 == 0) replayed->replay->tell({batch, batch}, profiler);
        ASSERT_EQ(replayed->state(), expected) << name_of(dtype) << ", " << size << " threads, step " << step;
      }
    }
    EXPECT_GT(profiler.events().size(), 500u);
  }
}

}  // namespace
}  // namespace reprise::cpu
