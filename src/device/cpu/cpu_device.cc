#include "device/cpu/cpu_device.h"

#include "core/error.h"
#include "core/process_limits.h"
#include "core/profiler.h"
#include "core/thread_team.h"
#include "device/cpu/team_replay.h"
#include "device/cpu/worker_choice.h"

namespace reprise {

int CpuDevice::settling_replays() const {
  return cpu::WorkerChoice::most_trials(team_.size());
}

size_t CpuDevice::available_bytes() const {
  return available_memory();
}

std::unique_ptr<DeviceStream> CpuDevice::make_stream() {
  return std::make_unique<CpuStream>(*this);
}

CpuStream::CpuStream(CpuDevice& device)
    : device_(device),
      scratch_(device.memory(), KernelContext::kScratchBytes * static_cast<size_t>(device.team().size())) {}

KernelContext CpuStream::context_for(const StepSizes& sizes, int worker) {
  return {.sizes = sizes,
          .buffers = nullptr,
          .scalars = nullptr,
          .scratch = scratch_.data() + KernelContext::kScratchBytes * static_cast<size_t>(worker),
          .worker = worker,
          .status = &status_};
}

void CpuStream::run(const Launch& launch, const StepSizes& sizes, Profiler* profiler) {
  std::byte* pointers[Launch::kMaxBuffers];
  REPRISE_CHECK(launch.buffers.size() <= Launch::kMaxBuffers, "{} takes {} buffers", launch.kernel.name,
                launch.buffers.size());
  for (size_t i = 0; i < launch.buffers.size(); ++i) {
    const BufferArg& argument = launch.buffers[i];
    pointers[i] = argument.buffer == nullptr ? nullptr : argument.buffer->data + argument.offset;
  }
  if (profiler == nullptr) {
    run_now(launch, sizes, pointers);
    return;
  }
  const auto begin = Profiler::Clock::now();
  run_now(launch, sizes, pointers);
  profiler->add({launch.kernel.name, launch.layer.empty() ? "model" : launch.layer, begin,
                 Profiler::Clock::now(), sizes});
}

void CpuStream::run_now(const Launch& launch, const StepSizes& sizes, std::byte* const* pointers) {
  team().parallel_for(launch.dims.work_items(sizes), launch.dims.grain,
                      [&](int64_t begin, int64_t end, int worker) {
                        KernelContext context = context_for(sizes, worker);
                        context.buffers = pointers;
                        context.scalars = launch.scalars;
                        launch.kernel.run(context, begin, end);
                      });
}

std::unique_ptr<capture::Executable> CpuStream::instantiate(capture::Recording recording, StepSizes largest) {
  return std::make_unique<cpu::TeamReplay>(std::move(recording), largest, *this);
}

}  // namespace reprise
