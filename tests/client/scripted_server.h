// A server that sends the bytes that a test wants, in the pieces that it wants.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace reprise::client {

class ScriptedServer {
 public:
  // What is done with a connection after a request came: its number from 0, that of the request on it, and the request.
  // True: wait for the next request; false: close.
  class Peer {
   public:
    explicit Peer(int socket) : socket_(socket) {}
    void send(const std::string& bytes) const;
    void reset() const;  // the client is told that the connection is broken
    static void pause(int milliseconds);

   private:
    int socket_;
  };
  using Script = std::function<bool(Peer& peer, int connection, int request, const std::string& text)>;

  explicit ScriptedServer(Script script);
  ~ScriptedServer();
  uint16_t port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  int connections() const;

 private:
  void serve(int socket, int number);

  const Script script_;
  int listener_ = -1;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<int> sockets_;  // guarded by mutex_
  std::vector<std::thread> threads_;
  std::thread accepting_;
};

// A whole reply with that body.
std::string reply_with(const std::string& body, int status = 200,
                       const std::string& type = "application/json");
// A whole chunked stream of events of these data.
std::string stream_of(const std::vector<std::string>& data);

}  // namespace reprise::client
