// How the processes of one engine talk (one a rank; rank 0 decides). The interface alone: who starts several
// processes brings an implementation.
#pragma once

#include <cstddef>
#include <vector>

namespace reprise {

// One thread at a time.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;   // [0, world)
  virtual int world() const = 0;  // processes
  // `message` of rank 0 becomes everyone's; all ranks call it in the same order. Blocks until it is there.
  // Throws Error where another rank is gone; nothing can be sent after that.
  virtual void broadcast(std::vector<std::byte>& message) = 0;
};

}  // namespace reprise
