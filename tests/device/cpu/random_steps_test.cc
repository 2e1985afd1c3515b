// Random steps over one block of memory, with every kind of overlap, replayed on several teams and sizes and
// compared bit by bit with the same launches run one after another.
#include <gtest/gtest.h>

#include <random>

#include "tests/capture/steps.h"

namespace reprise::cpu {
namespace {

using namespace capture;

constexpr StepSizes kLargest{.tokens = 12, .seqs = 5, .rows = 7};
constexpr int64_t kWords = 1024;

struct Node {
  Tensor out;
  std::vector<Tensor> in;
  uint32_t salt;
  int64_t grain;
  bool update;
};

struct Generator {
  std::mt19937 random;
  Step& step;

  int64_t below(int64_t bound) { return static_cast<int64_t>(random() % static_cast<uint64_t>(bound)); }

  Tensor tensor() {
    const std::array<Dim, 4> kinds{kTokens, kSeqs, kRows, Dim(1 + below(8))};
    const Dim rows = kinds[static_cast<size_t>(below(4))];
    const Shape shape{rows, 4 + below(8)};
    const int64_t words = shape.elements().eval(kLargest);
    return step.block.at(below((kWords - words) / 4) * 4, shape);
  }
  static bool overlap(const Tensor& a, const Tensor& b) {
    return a.offset < b.offset + b.extent().eval(kLargest) && b.offset < a.offset + a.extent().eval(kLargest);
  }
  // What a launch writes may not overlap what it reads, or its own chunks would race.
  Node node() {
    Node made{tensor(), {}, static_cast<uint32_t>(random()), 1 + below(64), below(4) == 0};
    for (int64_t inputs = below(3); !made.update && inputs > 0;)
      if (const Tensor in = tensor(); !overlap(in, made.out)) made.in.push_back(in), --inputs;
    return made;
  }
};

void launch(Step& step, const Node& node) {
  if (node.update)
    step.update(node.out, node.salt);
  else if (node.in.empty())
    step.mix_rows(node.out, {}, node.salt, 0, node.grain);
  else if (node.in.size() == 1)
    step.mix_rows(node.out, {node.in[0]}, node.salt, 0, node.grain);
  else
    step.mix_rows(node.out, {node.in[0], node.in[1]}, node.salt, 0, node.grain);
}

TEST(RandomSteps, ReplaysEqualTheEagerOrder) {
  for (const int threads : {1, 2, 3, 8}) {
    Step step(threads);
    for (uint32_t seed = 0; seed < 40; ++seed) {
      Generator generator{std::mt19937(seed * 8 + static_cast<uint32_t>(threads)), step};
      std::vector<Node> nodes;
      for (int64_t i = 2 + generator.below(60); i > 0; --i) nodes.push_back(generator.node());
      const auto run_all = [&] {
        for (const Node& node : nodes) launch(step, node);
      };
      TeamReplay replay(step.record(run_all), kLargest, cpu_stream(step.stream));
      for (int repeat = 0; repeat < 12; ++repeat) {
        const StepSizes sizes{
            .tokens = generator.below(13), .seqs = generator.below(6), .rows = generator.below(8)};
        step.block.fill(seed);
        step.stream.set_sizes(sizes);
        run_all();
        const auto expected = step.block.contents();
        step.block.fill(seed);
        replay.run_on(sizes, Sharing(repeat % 4 == 3 ? 1 : 0, repeat % 4 == 1));
        ASSERT_EQ(step.block.contents(), expected) << threads << " threads, seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace reprise::cpu
