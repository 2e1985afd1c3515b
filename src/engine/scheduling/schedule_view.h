// What the scheduler sees of the requests: all that run, and as many of those that wait or are held as a step has a use
// for, whatever the length of the queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/scheduling/request_table.h"
#include "engine/scheduling/scheduler.h"

namespace reprise::engine {

// Thread of the engine only.
class ScheduleView {
 public:
  // Takes all the memory that look() needs.
  ScheduleView(int64_t max_num_seqs, int64_t block_size);

  // Valid until the next call, or until the table changes.
  SchedulerState look(const RequestTable& table);
  size_t most() const { return running_.capacity() + waiting_.capacity() + held_.capacity(); }

 private:
  void look_at_waiting(const RequestTable& table);
  bool waits_for_first_output(const Sequence& waiting) const;

  const size_t max_num_seqs_;
  const int64_t block_size_;
  std::vector<SeqState> running_, waiting_, held_;
};

}  // namespace reprise::engine
