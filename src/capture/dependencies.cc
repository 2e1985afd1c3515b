#include "capture/dependencies.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/fault.h"

namespace reprise::capture {
namespace {

// Bytes that an argument touches. Addresses are one space; in a dry recording, where there are none, the
// arena is another and each further buffer one of its own.
struct Range {
  uint64_t space;
  uint64_t begin, end;
  int32_t launch;
  Access access;
};
using Point = std::pair<uint64_t, uint64_t>;  // space, position

class Spaces {
 public:
  Point place(const RecordedBuffer& buffer) {
    if (buffer.address != nullptr) return {0, reinterpret_cast<uintptr_t>(buffer.address)};
    if (buffer.kind == BufferKind::arena) return {1, buffer.id + static_cast<uint64_t>(buffer.offset)};
    const auto [known, added] = dry_.try_emplace({buffer.kind, buffer.id}, dry_.size() + 2);
    return {known->second, static_cast<uint64_t>(buffer.offset)};
  }

 private:
  std::map<std::pair<BufferKind, uint64_t>, uint64_t> dry_;
};

std::vector<Range> ranges_of(const Recording& recording, StepSizes largest) {
  std::vector<Range> ranges;
  Spaces spaces;
  int32_t index = 0;
  for (const RecordedLaunch& launch : recording.launches()) {
    for (const RecordedBuffer& buffer : recording.buffers_of(launch)) {
      const int64_t bytes = buffer.absent ? 0 : buffer.extent.eval(largest);
      if (bytes <= 0) continue;
      const auto [space, begin] = spaces.place(buffer);
      ranges.push_back({space, begin, begin + static_cast<uint64_t>(bytes), index, buffer.access});
    }
    ++index;
  }
  return ranges;
}

// What every launch may read at any time, like the weights, orders nobody and would only cost time.
void drop_never_written(std::vector<Range>& ranges) {
  std::vector<std::pair<Point, uint64_t>> written;  // where it begins, and the furthest end so far
  for (const Range& range : ranges)
    if (range.access != Access::read) written.push_back({{range.space, range.begin}, range.end});
  std::sort(written.begin(), written.end());
  for (size_t i = 1; i < written.size(); ++i)
    if (written[i].first.first == written[i - 1].first.first)
      written[i].second = std::max(written[i].second, written[i - 1].second);
  std::erase_if(ranges, [&](const Range& range) {
    const auto after = std::lower_bound(written.begin(), written.end(), Point{range.space, range.end},
                                        [](const auto& at, const Point& point) { return at.first < point; });
    return after == written.begin() || (after - 1)->first.first != range.space ||
           (after - 1)->second <= range.begin;
  });
}

// The edges of all ranges cut memory into cells that an argument covers whole or not at all.
struct Cell {
  int32_t writer = -1;
  std::vector<int32_t> readers;  // since the writer
};

// For each launch, ascending and without repeats, everybody that it has to wait for.
class Hazards {
 public:
  explicit Hazards(const std::vector<Range>& ranges) {
    for (const Range& range : ranges) {
      edges_.push_back({range.space, range.begin});
      edges_.push_back({range.space, range.end});
    }
    std::sort(edges_.begin(), edges_.end());
    edges_.erase(std::unique(edges_.begin(), edges_.end()), edges_.end());
    cells_.resize(edges_.size());
  }

  std::vector<int32_t> of(std::span<const Range> arguments) {
    std::vector<int32_t> found;
    for (const Range& range : arguments)
      for (Cell& cell : covered_by(range)) look(cell, range, found);
    for (const Range& range : arguments)
      for (Cell& cell : covered_by(range)) note(cell, range);
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

 private:
  std::span<Cell> covered_by(const Range& range) {
    const auto at = [&](uint64_t position) {
      return static_cast<size_t>(
          std::lower_bound(edges_.begin(), edges_.end(), Point{range.space, position}) - edges_.begin());
    };
    const size_t first = at(range.begin);
    return std::span(cells_).subspan(first, at(range.end) - first);
  }

  static void look(const Cell& cell, const Range& range, std::vector<int32_t>& found) {
    const bool writes = range.access != Access::read;
    const bool after_write = !writes || range.access == Access::read_write ||
                             !fault_is_on(Fault::dependencies_ignore_write_after_write);
    if (cell.writer >= 0 && after_write) found.push_back(cell.writer);
    if (writes && !fault_is_on(Fault::dependencies_ignore_write_after_read))
      found.insert(found.end(), cell.readers.begin(), cell.readers.end());
  }

  static void note(Cell& cell, const Range& range) {
    if (range.access != Access::read) {
      cell.writer = range.launch;
      cell.readers.clear();
    } else if (cell.writer != range.launch && (cell.readers.empty() || cell.readers.back() != range.launch)) {
      cell.readers.push_back(range.launch);
    }
  }

  std::vector<Point> edges_;
  std::vector<Cell> cells_;  // from edge i to edge i + 1
};

// Leaves out what another dependency implies. Everybody's ancestors are a row of bits.
class Reduction {
 public:
  explicit Reduction(size_t launches) : words_((launches + 63) / 64), bits_(words_ * launches) {}

  void apply(size_t launch, std::vector<int32_t>& waits) {
    uint64_t* own = &bits_[launch * words_];
    std::vector<int32_t> kept;
    for (auto wait = waits.rbegin(); wait != waits.rend(); ++wait) {  // latest first: it implies the most
      const auto index = static_cast<size_t>(*wait);
      if ((own[index / 64] >> (index % 64) & 1) != 0) continue;
      kept.push_back(*wait);
      for (size_t word = 0; word < words_; ++word) own[word] |= bits_[index * words_ + word];
      own[index / 64] |= uint64_t{1} << (index % 64);
    }
    waits.assign(kept.rbegin(), kept.rend());
  }

 private:
  size_t words_;
  std::vector<uint64_t> bits_;
};

}  // namespace

std::vector<std::vector<int32_t>> dependencies_of(const Recording& recording, StepSizes largest) {
  std::vector<Range> ranges = ranges_of(recording, largest);
  drop_never_written(ranges);
  Hazards hazards(ranges);
  const size_t launches = recording.launches().size();
  Reduction reduction(launches);
  std::vector<std::vector<int32_t>> dependencies(launches);
  size_t first = 0;
  for (size_t i = 0; i < launches; ++i) {
    size_t last = first;
    while (last < ranges.size() && ranges[last].launch == static_cast<int32_t>(i)) ++last;
    dependencies[i] = hazards.of(std::span(ranges).subspan(first, last - first));
    reduction.apply(i, dependencies[i]);
    first = last;
  }
  return dependencies;
}

}  // namespace reprise::capture
