// A kernel compiler that generates nothing: its op launches the nodes of the group one after the other, fused
// ones as their `decompose` says. So whatever surrounds a compiler (grouping, fallback, memory plan, capture,
// verification) is tested where none is linked.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "graph/kernel_compiler.h"

namespace reprise::graph {

class DecomposingCompiler final : public KernelCompiler {
 public:
  DecomposingCompiler(DeviceKind device, std::string_view level);
  explicit DecomposingCompiler(const Device& device) : DecomposingCompiler(device.kind(), device.level()) {}
  ~DecomposingCompiler() override;

  std::string_view name() const override { return "decompose"; }
  DeviceKind device() const override { return device_; }
  std::string_view level() const override { return level_; }
  bool accepts(const Graph& graph, const FusionGroup& group) const override;
  const ops::OpSchema& compile(const Graph& graph, const FusionGroup& group) override;

  // For tests; all are asked in addition to its own rules.
  std::function<bool(const Graph&, const FusionGroup&)> also_accepts;
  std::function<void(const Graph&, const FusionGroup&)> before_compile;  // may throw
  // Of the groups that it makes from now on, the first output is wrong by a few bits.
  bool wrong = false;

  size_t compiled() const { return kernels_.size(); }

 private:
  DeviceKind device_;
  std::string_view level_;
  struct Fused;
  std::vector<std::unique_ptr<Fused>> kernels_;
};

}  // namespace reprise::graph
