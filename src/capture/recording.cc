#include "capture/recording.h"

#include "core/error.h"

#include <cstring>

namespace reprise::capture {
namespace {

std::string_view letters_of(Access access) {
  switch (access) {
    case Access::read:
      return "r";
    case Access::write:
      return "w";
    case Access::read_write:
      return "rw";
  }
  return "?";
}

RecordedBuffer recorded(const BufferArg& argument) {
  if (argument.buffer == nullptr) return {.absent = true};
  const Buffer& buffer = *argument.buffer;
  return {.kind = buffer.kind,
          .id = buffer.id,
          .offset = argument.offset,
          .extent = argument.extent,
          .access = argument.access,
          .address = buffer.data == nullptr ? nullptr : buffer.data + argument.offset};
}

}  // namespace

std::span<const RecordedBuffer> Recording::buffers_of(const RecordedLaunch& launch) const {
  return std::span(buffers_).subspan(launch.first_buffer, launch.buffer_count);
}

const std::byte* Recording::scalars_of(const RecordedLaunch& launch) const {
  return scalars_.data() + launch.first_scalar;
}

size_t Recording::bytes() const {
  size_t total =
      launches_.size() * sizeof(RecordedLaunch) + buffers_.size() * sizeof(RecordedBuffer) + scalars_.size();
  for (const std::string& name : names_) total += sizeof(name) + name.size();
  return total;
}

// Launches of an op or a layer follow each other, so the last launch's name is nearly always the one.
std::string_view Recording::intern(std::string_view name) {
  if (!launches_.empty()) {
    if (launches_.back().layer == name) return launches_.back().layer;
    if (launches_.back().op == name) return launches_.back().op;
  }
  const auto found = names_.find(name);
  return found != names_.end() ? *found : *names_.emplace(name).first;
}

void Recording::append(const Launch& launch) {
  REPRISE_CHECK(
      launch.buffers.size() <= Launch::kMaxBuffers && launch.scalar_bytes <= Launch::kMaxScalarBytes,
      "{} takes {} buffers and {} bytes of scalars", launch.kernel.name, launch.buffers.size(),
      launch.scalar_bytes);
  const size_t scalar = (scalars_.size() + Launch::kScalarAlignment - 1) & ~(Launch::kScalarAlignment - 1);
  const RecordedLaunch added{.kernel = launch.kernel,
                             .op = intern(launch.op),
                             .layer = intern(launch.layer),
                             .dims = launch.dims,
                             .first_buffer = static_cast<uint32_t>(buffers_.size()),
                             .buffer_count = static_cast<uint32_t>(launch.buffers.size()),
                             .first_scalar = static_cast<uint32_t>(scalar),
                             .scalar_bytes = static_cast<uint32_t>(launch.scalar_bytes)};
  scalars_.resize(scalar + launch.scalar_bytes);
  if (launch.scalar_bytes > 0) std::memcpy(scalars_.data() + scalar, launch.scalars, launch.scalar_bytes);
  for (const BufferArg& argument : launch.buffers) buffers_.push_back(recorded(argument));
  launches_.push_back(added);
}

void Recording::truncate(size_t launches) {
  if (launches >= launches_.size()) return;
  buffers_.resize(launches_[launches].first_buffer);
  launches_.resize(launches);
  scalars_.resize(launches == 0 ? 0 : launches_.back().first_scalar + launches_.back().scalar_bytes);
}

std::string place_of(const RecordedBuffer& buffer) {
  if (buffer.absent) return "absent";
  if (buffer.kind == BufferKind::arena)
    return fmt::format("arena+{}", static_cast<int64_t>(buffer.id) + buffer.offset);
  return fmt::format("{}#{}+{}", name_of(buffer.kind), buffer.id, buffer.offset);
}

std::string to_text(const Recording& recording) {
  const auto or_dash = [](std::string_view name) { return name.empty() ? "-" : name; };
  std::string text;
  for (size_t i = 0; i < recording.launches().size(); ++i) {
    const RecordedLaunch& launch = recording.launches()[i];
    text += fmt::format("{} {} {} {} items={} grain={}", i, or_dash(launch.layer), or_dash(launch.op),
                        launch.kernel.name, to_string(launch.dims.items), launch.dims.grain);
    if (launch.dims.rows != Dim(1))
      text += fmt::format(" rows={}/{}", to_string(launch.dims.rows), launch.dims.rows_per_block);
    text += fmt::format(" scalars={}", launch.scalar_bytes);
    for (const RecordedBuffer& buffer : recording.buffers_of(launch))
      text += buffer.absent ? " absent"
                            : fmt::format(" {} {}[{}]", letters_of(buffer.access), place_of(buffer),
                                          to_string(buffer.extent));
    text += '\n';
  }
  return text;
}

std::string_view Recorder::last_kernel() const {
  return recording.empty() ? std::string_view() : recording.launches().back().kernel.name;
}

}  // namespace reprise::capture
