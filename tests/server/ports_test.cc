// More than one socket: a port for metrics, and sockets that whoever started the server made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "core/error.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

uint16_t port_of(const std::string& address) {
  return static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

Reply ask(uint16_t port, const std::string& request) {
  Client client(port);
  client.send(request);
  return client.reply();
}

TEST(MetricsPort, HasMetricsAndHealthAlone) {
  ServerOptions options = quiet_server();
  options.metrics_port = 0;
  const ServedModel served(options);
  const uint16_t port = port_of(served.server->metrics_address());
  ASSERT_NE(port, served.server->port());
  for (const char* path : {"/health", "/ping", "/load", "/metrics"})
    EXPECT_EQ(ask(port, get(path)).status, 200) << path;
  EXPECT_EQ(ask(port, kShort).status, 404);
  EXPECT_EQ(ask(port, get("/v1/models")).status, 404);
  EXPECT_EQ(served.ask(kShort).status, 200);
  EXPECT_EQ(served.ask(get("/metrics")).status, 200);
}

TEST(MetricsPort, AsksForTheKeyToo) {
  ServerOptions options = quiet_server();
  options.metrics_port = 0;
  options.service.api_keys = {"k"};
  const ServedModel served(options);
  const uint16_t port = port_of(served.server->metrics_address());
  EXPECT_EQ(ask(port, get("/health")).status, 200);
  EXPECT_EQ(ask(port, get("/metrics")).status, 401);
  EXPECT_EQ(ask(port, get("/metrics", "Authorization: Bearer k\r\n")).status, 200);
}

TEST(MetricsPort, TellsThatTheServerEnds) {
  ServerOptions options = quiet_server();
  options.metrics_port = 0;
  ServedModel served(options);
  const uint16_t port = port_of(served.server->metrics_address());
  served.server->drain();
  EXPECT_EQ(ask(port, get("/health")).status, 503);
}

int listening_tcp() {
  const int made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(made, reinterpret_cast<const sockaddr*>(&any), sizeof any);
  listen(made, 16);
  return made;
}

uint16_t port_of(int socket) {
  sockaddr_in at{};
  socklen_t size = sizeof at;
  getsockname(socket, reinterpret_cast<sockaddr*>(&at), &size);
  return ntohs(at.sin_port);
}

TEST(GivenSockets, AreServedAllTogether) {
  const std::string path = testing::TempDir() + "reprise_given_" + std::to_string(getpid());
  const int first = listening_tcp(), second = listening_tcp(),
            third = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  std::strncpy(at.sun_path, path.c_str(), sizeof at.sun_path - 1);
  unlink(path.c_str());
  bind(third, reinterpret_cast<const sockaddr*>(&at), sizeof at);
  listen(third, 16);
  const uint16_t ports[] = {port_of(first), port_of(second)};
  ServerOptions options = quiet_server();
  options.http.sockets = {first, second, third};
  {
    const ServedModel served(options);
    EXPECT_EQ(served.server->port(), ports[0]);
    for (int round = 0; round < 3; ++round) {
      for (const uint16_t port : ports) EXPECT_EQ(ask(port, kShort).status, 200);
      Client client(path);
      client.send(kShort);
      EXPECT_EQ(client.reply().status, 200);
    }
  }
  EXPECT_EQ(access(path.c_str(), F_OK), 0);  // it is not ours to delete
  unlink(path.c_str());
  EXPECT_THROW(Client{ports[1]}, std::runtime_error);
}

}  // namespace
}  // namespace reprise::server
