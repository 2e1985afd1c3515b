// A client that speaks to a server byte by byte, and may be as rude as it likes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace reprise::server {

struct Reply {
  int status = 0;
  std::map<std::string, std::string> fields;  // names in lower case
  std::string body;                           // without chunk sizes

  std::string field(const std::string& name) const {
    const auto found = fields.find(name);
    return found == fields.end() ? std::string() : found->second;
  }
};

// What waits longer than 30 s throws std::runtime_error. One thread at a time.
class Client {
 public:
  explicit Client(uint16_t port,
                  int receive_bytes = 0);  // receive_bytes: of the kernel's buffer; 0: as it is
  explicit Client(const std::string& unix_path);
  ~Client();
  Client(Client&& other) noexcept;
  Client& operator=(Client&&) = delete;

  // False where the server takes no more.
  bool send(std::string_view bytes);
  // The next reply, of whatever form. Throws where the connection ends first.
  Reply reply(bool to_head = false);
  // Reads until `mark` was seen, and returns all up to its end.
  std::string read_until(std::string_view mark);
  // All until the connection ends.
  std::string read_all();
  // Whether the server ends the connection within that time; what it sends before is dropped.
  bool ends_within(std::chrono::milliseconds time);

  void half_close();  // sends no more
  void reset();       // what is unsent is dropped, and the server told so
  void close();

 private:
  bool read_some(std::chrono::milliseconds time);  // false: the end
  std::string take(size_t bytes);

  int socket_ = -1;
  std::string in_;
};

// POST with a JSON body and what a client has to say.
std::string post(std::string_view path, std::string_view body, std::string_view more_fields = {});
std::string get(std::string_view path, std::string_view more_fields = {}, std::string_view method = "GET");

}  // namespace reprise::server
