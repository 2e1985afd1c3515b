// Steps for the tests of capture: buffers in one arena-like block of memory, kernels whose result tells
// whether each ran on what it should have, and a recording of them.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "capture/recording.h"
#include "core/arena.h"
#include "core/recording_scope.h"
#include "core/thread_team.h"
#include "device/cpu/cpu_device.h"
#include "device/cpu/team_replay.h"

namespace reprise::capture {

struct MixScalars {
  uint32_t salt = 0;
  int32_t inputs = 0;
  int64_t rows_of_input = 1;  // u32 elements of input 0; item i reads element i % rows
  int64_t nap_us = 0;         // each call sleeps so long before it reads
};

// out[i] = a hash of out[i] (where it is read too), salt and one element of each input.
inline void mix(const KernelContext& context, int64_t begin, int64_t end) {
  const auto& scalars = context.get_scalars<MixScalars>();
  if (scalars.nap_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(scalars.nap_us));
  auto* out = context.buffer<uint32_t>(0);
  for (int64_t i = begin; i < end; ++i) {
    uint32_t hash = scalars.salt * 2654435761u + static_cast<uint32_t>(i);
    for (int input = 0; input < scalars.inputs; ++input) {
      hash ^= context.buffer<uint32_t>(1 + input)[i % scalars.rows_of_input];
      hash *= 2246822519u;
      hash ^= hash >> 15;
    }
    out[i] = hash;
  }
}
inline const Kernel kMix{"mix", mix};
// The same, but out[i] goes in.
inline const Kernel kMixInto{"mix_into", [](const KernelContext& context, int64_t begin, int64_t end) {
                               auto* out = context.buffer<uint32_t>(0);
                               for (int64_t i = begin; i < end; ++i)
                                 out[i] = out[i] * 31 + context.get_scalars<MixScalars>().salt;
                             }};

// One block of memory in which tensors may lie anywhere, and so overlap.
class Block {
 public:
  explicit Block(int64_t words)
      : store_(BufferKind::state, host_memory()), all_(store_.allocate(DType::i32, {words})) {}

  Tensor at(int64_t word, Shape shape) const {
    Tensor tensor = all_;
    tensor.offset = word * 4;
    tensor.shape = shape;
    return tensor;
  }
  uint32_t* words() const { return all_.as<uint32_t>(); }
  std::vector<uint32_t> contents() const { return {words(), words() + all_.shape[0].constant}; }
  void fill(uint32_t seed) {
    for (int64_t i = 0; i < all_.shape[0].constant; ++i)
      words()[i] = seed * 977 + static_cast<uint32_t>(i) * 2654435761u;
  }

 private:
  HeapStore store_;
  Tensor all_;
};

// A step that is easy to write down: out = mix(inputs).
struct Step {
  ThreadTeam team;
  CpuDevice device{team, Isa::scalar};
  Stream stream{device};
  Block block{1024};

  explicit Step(int threads = 2) : team(threads) { block.fill(1); }

  void mix_rows(const Tensor& out, std::initializer_list<Tensor> inputs, uint32_t salt, int64_t nap_us = 0,
                int64_t grain = 1) {
    const MixScalars scalars{salt, static_cast<int32_t>(inputs.size()), 4, nap_us};
    const Tensor* in = inputs.begin();
    const LaunchDims dims{.items = out.shape.elements(), .grain = grain};
    if (inputs.size() == 0)
      stream.launch(kMix, dims, {writes(out)}, scalars);
    else if (inputs.size() == 1)
      stream.launch(kMix, dims, {writes(out), reads(in[0])}, scalars);
    else
      stream.launch(kMix, dims, {writes(out), reads(in[0]), reads(in[1])}, scalars);
  }
  void update(const Tensor& tensor, uint32_t salt) {
    stream.launch(kMixInto, {.items = tensor.shape.elements()}, {updates(tensor)}, MixScalars{.salt = salt});
  }

  template <typename Body>
  Recording record(Body&& body) {
    Recorder recorder;
    const RecordingScope scope(stream, recorder);
    body();
    return std::move(recorder.recording);
  }
};

}  // namespace reprise::capture
