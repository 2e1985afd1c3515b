#include "cli/result_writer.h"

#include <utility>

#include "cli/say.h"

namespace reprise::cli {

void ResultWriter::write(const Printed& printed) {
  out_.write(printed.out);
  if (!printed.error.empty()) say_error(printed.error);
  ++written_;
}

void ResultWriter::add(size_t index, Printed printed) {
  waiting_.emplace(index, std::move(printed));
  const size_t before = next_;
  for (auto first = waiting_.begin(); first != waiting_.end() && first->first == next_; ++next_) {
    write(first->second);
    first = waiting_.erase(first);
  }
  if (next_ > before) out_.flush();
}

void ResultWriter::write_rest() {
  for (const auto& [index, printed] : waiting_) write(printed);
  waiting_.clear();
  out_.flush();
}

}  // namespace reprise::cli
