// A recording: the launches of one step in their order, as plain data. It is the same thing for every device,
// so it can be checked, printed, compared and replayed without one. Built by a Recorder, which is the sink
// that a stream hands its launches to while it records; nothing runs meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/launch.h"

namespace reprise::capture {

// Where a buffer argument lies: kind, id and offset name the place, `address` is what they came to at
// capture.
struct RecordedBuffer {
  BufferKind kind = BufferKind::arena;
  uint64_t id = 0;     // of the buffer; arena: its byte offset in the arena
  int64_t offset = 0;  // bytes from the start of the buffer
  Dim extent{};        // bytes
  Access access = Access::read;
  std::byte* address = nullptr;  // null: an optional argument that is absent (or a dry recording's arena)
  bool absent = false;
};

struct RecordedLaunch {
  Kernel kernel;
  std::string_view op;     // name of the op that launched it, "" outside of one; the recording owns it
  std::string_view layer;  // path in the model; the recording owns it
  LaunchDims dims;
  uint32_t first_buffer = 0;  // into Recording::buffers
  uint32_t buffer_count = 0;
  uint32_t first_scalar = 0;  // byte offset into Recording::scalars, a multiple of 16
  uint32_t scalar_bytes = 0;
};

// Moves, but isn't copied: launches point at the names that it owns.
class Recording {
 public:
  Recording() = default;
  Recording(Recording&&) = default;
  Recording& operator=(Recording&&) = default;

  std::span<const RecordedLaunch> launches() const { return launches_; }
  std::span<const RecordedBuffer> buffers_of(const RecordedLaunch& launch) const;
  const std::byte* scalars_of(const RecordedLaunch& launch) const;

  bool empty() const { return launches_.empty(); }
  size_t bytes() const;  // that it holds, the same for the same launches
  void append(const Launch& launch);
  void truncate(size_t launches);  // forgets the launches after the first `launches`

 private:
  std::string_view intern(std::string_view name);

  std::vector<RecordedLaunch> launches_;
  std::vector<RecordedBuffer> buffers_;
  std::vector<std::byte> scalars_;
  std::set<std::string, std::less<>> names_;  // of ops and layers; nodes stay where they are
};

// Where an argument lies: "arena+4096", "weight#3+64", "absent".
std::string place_of(const RecordedBuffer& buffer);

// One line for each launch: "3 layers.0.mlp matmul matmul_bf16 items=32 grain=2 rows=T/64 scalars=40 r
// arena+4096[128*T] ..."; rows only where items are cut by them.
std::string to_text(const Recording& recording);

class Recorder final : public LaunchSink {
 public:
  void append(const Launch& launch) override { recording.append(launch); }
  std::string_view last_kernel() const override;
  Recording recording;
};

}  // namespace reprise::capture
