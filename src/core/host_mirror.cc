#include "core/host_mirror.h"

namespace reprise {

HostMirror::HostMirror(MemorySpace& space, const Tensor& tensor, size_t bytes)
    : space_(&space), device_(tensor.data()), host_(tensor.data()) {
  if (space.host_visible()) return;
  own_ = std::make_unique<std::byte[]>(bytes);
  host_ = own_.get();
}

void HostMirror::copy_up(size_t offset, size_t bytes) const {
  if (bytes > 0) space_->upload(device_ + offset, host_ + offset, bytes);
}
void HostMirror::copy_down(size_t offset, size_t bytes) const {
  if (bytes > 0) space_->download(host_ + offset, device_ + offset, bytes);
}

}  // namespace reprise
