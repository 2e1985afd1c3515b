// A few seconds of clients that do anything, beside honest ones: these lose nothing, and in the end all is as
// before.
#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

size_t entries(const char* folder) {
  size_t count = 0;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(folder), closedir);
  while (readdir(open.get()) != nullptr) ++count;
  return count;
}
size_t resident_mib() {
  std::ifstream file("/proc/self/statm");
  size_t pages = 0;
  file >> pages >> pages;
  return pages * 4096 >> 20;
}

std::string random_bytes(std::mt19937& random, size_t count) {
  std::string bytes(count, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string rude_request(std::mt19937& random) {
  std::string request = random() % 2 == 0 ? endless(random() % 2 == 0) : kShort + get("/metrics");
  switch (random() % 8) {
    case 0:
      return request.substr(0, random() % request.size());
    case 1:
      for (size_t flips = 1 + random() % 4; flips > 0; --flips)
        request[random() % request.size()] ^= static_cast<char>(1 << random() % 8);
      return request;
    case 2:
      return random_bytes(random, random() % 5000);
    case 3:
      return get("/ping", "X: " + std::string(random() % 200'000, 'a') + "\r\n");
    case 4:
      return "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000000\r\n\r\n{";
    case 5:
      return "POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
             random_bytes(random, random() % 100);
    case 6:
      return post("/v1/chat/completions", random_bytes(random, random() % 1000));
    default:
      return request;
  }
}

void be_rude(uint16_t port, uint32_t seed, const std::atomic<bool>& over) {
  std::mt19937 random(seed);
  while (!over) {
    Client client(port);
    client.send(rude_request(random));
    if (random() % 4 == 0) client.half_close();
    if (random() % 2 == 0) client.ends_within(std::chrono::milliseconds(random() % 20));
    if (random() % 2 == 0)
      client.reset();
    else
      client.close();
  }
}

void be_honest(uint16_t port, bool stream, const std::atomic<bool>& over, std::atomic<int>& served,
               std::atomic<int>& lost) {
  const std::string request =
      post("/v1/completions", std::string(R"({"prompt": "Once upon", "max_tokens": 8, "seed": 5, )") +
                                  R"("ignore_eos": true, "logprobs": 1, "stream": )" +
                                  (stream ? "true}" : "false}"));
  // Ids and times differ from one reply to the next.
  const auto of_reply = [](const Reply& reply) {
    std::string text;
    for (size_t at = 0; (at = reply.body.find("\"choices\"", at)) != std::string::npos; ++at)
      text += reply.body.substr(at, reply.body.find('\n', at) - at);
    return text.substr(0, text.find("\"usage\""));
  };
  std::string right;
  try {
    while (!over) {
      Client client(port);
      for (int i = 0; i < 3; ++i) {
        client.send(request);
        const Reply reply = client.reply();
        if (right.empty()) right = of_reply(reply);
        lost += reply.status != 200 || right.empty() || of_reply(reply) != right;
        ++served;
      }
    }
  } catch (const std::exception& error) {
    ADD_FAILURE() << error.what();
    ++lost;
  }
}

TEST(RandomClients, LeaveNothingBehindAndHarmNobody) {
  ServerOptions options = quiet_server();
  options.http.threads = 2;
  options.http.head_timeout = options.http.body_timeout = std::chrono::milliseconds(500);
  const ServedModel served(options);
  const auto round = [&](std::chrono::milliseconds time) {
    std::atomic<bool> over{false};
    std::atomic<int> right{0}, lost{0};
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < 4; ++i)
      threads.emplace_back([&, i] { be_rude(served.server->port(), i, over); });
    for (const bool stream : {false, true})
      threads.emplace_back([&, stream] { be_honest(served.server->port(), stream, over, right, lost); });
    std::this_thread::sleep_for(time);
    over = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(lost, 0);
    EXPECT_GT(right, 5);
    EXPECT_TRUE(soon([&] { return served.at_rest(); }, 2 * kSoon));
  };
  round(std::chrono::milliseconds(500));  // what is made once and kept
  const size_t descriptors = entries("/proc/self/fd"), threads = entries("/proc/self/task"),
               memory = resident_mib();
  round(std::chrono::milliseconds(2500));
  EXPECT_TRUE(soon([&] { return entries("/proc/self/fd") <= descriptors; })) << entries("/proc/self/fd");
  EXPECT_EQ(entries("/proc/self/task"), threads);
  if (kSlowness == 1) {
    EXPECT_LT(resident_mib(), memory + 48);
  }
  EXPECT_EQ(served.ask(get("/health")).status, 200);
}

}  // namespace
}  // namespace reprise::server
