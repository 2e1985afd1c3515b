#include "server/open_requests.h"

#include <exception>
#include <set>
#include <utility>

namespace reprise::server {

AbortTicket::~AbortTicket() {
  try {
    then_(std::move(ended_));
  } catch (const std::exception&) {  // no memory for the answer: its exchange says so
  }
}

void AbortTicket::ended(EndedRequest request) {
  const std::lock_guard lock(mutex_);
  ended_.push_back(std::move(request));
}

OpenRequests::Entry::Entry(OpenRequests& open, std::weak_ptr<OpenRequest> request)
    : open_(open), request_(request.lock().get()) {
  const std::lock_guard lock(open_.mutex_);
  open_.requests_.emplace(request_, std::move(request));
}

OpenRequests::Entry::~Entry() {
  const std::lock_guard lock(open_.mutex_);
  for (const Names::iterator& name : names_) open_.names_.erase(name);
  open_.requests_.erase(request_);
}

void OpenRequests::Entry::add_name(const std::string& name) {
  names_.reserve(names_.size() + 1);
  const std::lock_guard lock(open_.mutex_);
  names_.push_back(open_.names_.emplace(name, request_));
}

// Requests are aborted without the lock, which the last holder of one needs for its Entry.
std::vector<std::string> OpenRequests::abort(const std::vector<std::string>& names,
                                             const std::shared_ptr<AbortTicket>& ticket) {
  std::vector<std::string> unknown;
  std::set<std::shared_ptr<OpenRequest>> found;
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : names) {
      bool known = false;
      const auto [begin, end] = names_.equal_range(name);
      for (auto at = begin; at != end; ++at)
        if (auto request = requests_.at(at->second).lock()) {
          found.insert(std::move(request));
          known = true;
        }
      if (!known) unknown.push_back(name);
    }
  }
  for (const auto& request : found) request->abort(ticket);
  return unknown;
}

void OpenRequests::abort_all(const std::shared_ptr<AbortTicket>& ticket) {
  std::vector<std::shared_ptr<OpenRequest>> found;
  {
    const std::lock_guard lock(mutex_);
    found.reserve(requests_.size());
    for (const auto& [key, request] : requests_)
      if (auto held = request.lock()) found.push_back(std::move(held));
  }
  for (const auto& request : found) request->abort(ticket);
}

}  // namespace reprise::server
