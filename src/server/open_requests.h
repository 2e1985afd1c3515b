// The requests that are being answered, by the names that clients know them by, so that others can end them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace reprise::server {

// What became of one that was aborted.
struct EndedRequest {
  std::string id;  // of its reply
  int64_t output_tokens = 0;
};

// Held by each request that is being aborted until it has ended; whoever asked hears of all of them at once.
class AbortTicket {
 public:
  // Called once, on whichever thread lets go of the ticket last. What it throws is lost.
  using Then = std::function<void(std::vector<EndedRequest>&& ended)>;

  explicit AbortTicket(Then then) : then_(std::move(then)) {}
  ~AbortTicket();
  AbortTicket(const AbortTicket&) = delete;
  AbortTicket& operator=(const AbortTicket&) = delete;

  void ended(EndedRequest request);  // any thread

 private:
  const Then then_;
  std::mutex mutex_;
  std::vector<EndedRequest> ended_;  // guarded by mutex_
};

class OpenRequest {
 public:
  virtual ~OpenRequest() = default;
  // Ends soon, with what it has and finish reason abort. Any thread.
  virtual void abort(std::shared_ptr<AbortTicket> ticket) = 0;
};

// Any thread. Clients choose names, so several requests may have one.
class OpenRequests {
  using Names = std::multimap<std::string, OpenRequest*, std::less<>>;

 public:
  // Takes its names away again with itself. Must not outlive the OpenRequests.
  class Entry {
   public:
    Entry(OpenRequests& open, std::weak_ptr<OpenRequest> request);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    void add_name(const std::string& name);

   private:
    OpenRequests& open_;
    OpenRequest* const request_;
    std::vector<Names::iterator> names_;
  };

  // All that have one of these names; returns the names that nobody has.
  std::vector<std::string> abort(const std::vector<std::string>& names,
                                 const std::shared_ptr<AbortTicket>& ticket);
  void abort_all(const std::shared_ptr<AbortTicket>& ticket);

 private:
  std::mutex mutex_;  // guards all below
  std::map<OpenRequest*, std::weak_ptr<OpenRequest>> requests_;
  Names names_;
};

}  // namespace reprise::server
