#include "device/cpu/replay_plan.h"

#include "capture/dependencies.h"
#include "core/error.h"
#include "core/fault.h"

namespace reprise::cpu {

ReplayPlan::ReplayPlan(const capture::Recording& recording, StepSizes largest) {
  resolve_pointers(recording);
  const auto launches = recording.launches();
  std::vector<std::vector<int32_t>> dependencies = capture::dependencies_of(recording, largest);
  std::vector<bool> awaited(launches.size());
  std::byte* const* pointers = pointers_.data();
  nodes_.reserve(launches.size());
  for (size_t i = 0; i < launches.size(); ++i) {
    std::vector<int32_t>& waits = dependencies[i];
    if (fault_is_on(Fault::replay_skips_waits_of_node, static_cast<int64_t>(i))) waits.clear();
    for (const int32_t wait : waits) awaited[static_cast<size_t>(wait)] = true;
    nodes_.push_back({.run = launches[i].kernel.run,
                      .buffers = pointers,
                      .scalars = recording.scalars_of(launches[i]),
                      .dims = launches[i].dims,
                      .first_wait = static_cast<uint32_t>(waits_.size()),
                      .wait_count = static_cast<uint16_t>(waits.size()),
                      .follows = waits.size() == 1 && waits[0] == static_cast<int32_t>(i) - 1});
    waits_.insert(waits_.end(), waits.begin(), waits.end());
    pointers += launches[i].buffer_count;
  }
  for (size_t i = 0; i < launches.size(); ++i)
    if (!awaited[i]) last_nodes_.push_back(static_cast<int32_t>(i));
}

void ReplayPlan::resolve_pointers(const capture::Recording& recording) {
  int64_t node = 0;
  for (const capture::RecordedLaunch& launch : recording.launches()) {
    int64_t index = 0;
    for (const capture::RecordedBuffer& buffer : recording.buffers_of(launch)) {
      if (buffer.address == nullptr && !buffer.absent)
        throw Error(
            "[capture] argument {} of '{}' (op '{}', layer '{}') has no address: a dry recording can be read "
            "but not replayed; record with memory behind the tensors",
            index, launch.kernel.name, launch.op, launch.layer);
      std::byte* address = buffer.address;
      if (fault_is_on(Fault::replay_shifts_address, node, index)) address += 64;
      if (fault_is_on(Fault::replay_keeps_address_of_earlier, node, index)) address = pointers_.front();
      pointers_.push_back(address);
      ++index;
    }
    ++node;
  }
}

size_t ReplayPlan::bytes() const {
  return nodes_.size() * sizeof(ReplayNode) + pointers_.size() * sizeof(std::byte*) +
         (waits_.size() + last_nodes_.size()) * sizeof(int32_t);
}

}  // namespace reprise::cpu
