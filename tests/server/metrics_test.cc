// Histograms and counters, and the log's line.
#include "server/metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "server/request_line.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using testing::HasSubstr;

TEST(Metrics, AHistogramCountsWhatIsAtMostItsBound) {
  Histogram histogram({1, 2.5, 10});
  for (const double value : {0.0, 1.0, 1.5, 2.5, 10.0, 11.0, 1e9}) histogram.add(value);
  std::string text;
  histogram.write(text, "x", "What.");
  EXPECT_EQ(text,
            "# HELP reprise:x What.\n# TYPE reprise:x histogram\n"
            "reprise:x_bucket{le=\"1\"} 2\nreprise:x_bucket{le=\"2.5\"} 4\n"
            "reprise:x_bucket{le=\"10\"} 5\nreprise:x_bucket{le=\"+Inf\"} 7\n"
            "reprise:x_sum 1000000026\nreprise:x_count 7\n");
}

TEST(Metrics, CountsWhatClientsSaw) {
  const ServedModel served;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(served.ask(kShort).status, 200);
  EXPECT_EQ(served.ask(post("/v1/completions", R"({"prompt": "x", "n": 0})")).status, 400);
  const std::string text = served.ask(get("/metrics")).body;
  EXPECT_THAT(text, HasSubstr("\nreprise:requests_number 4\n"));
  EXPECT_THAT(text, HasSubstr("\nreprise:request_success_total 3\n"));
  EXPECT_THAT(text, HasSubstr("\nreprise:generation_tokens_total 9\n"));
  EXPECT_THAT(text, HasSubstr("\nreprise:request_finish_total{reason=\"error\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("\nreprise:e2e_request_latency_seconds_count 4\n"));
  EXPECT_THAT(text, HasSubstr("\nreprise:request_generation_tokens_sum 9\n"));
  // A step's numbers are published after its tokens.
  EXPECT_TRUE(soon([&] {
    return served.ask(get("/metrics")).body.find("\nreprise:sampled_tokens_total 9\n") != std::string::npos;
  }));
}

// Standard error is something else while it lives.
class OtherStandardError {
 public:
  explicit OtherStandardError(int with) : kept_(dup(STDERR_FILENO)) { dup2(with, STDERR_FILENO); }
  ~OtherStandardError() {
    dup2(kept_, STDERR_FILENO);
    close(kept_);
  }

 private:
  const int kept_;
};

TEST(RequestLog, ALineThatCanNotBeWrittenStopsNobody) {
  std::signal(SIGPIPE, SIG_IGN);  // as the program does
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  {
    const OtherStandardError pipe_of_ours(ends[1]);
    int lines = 0;  // until the pipe is full: nobody reads
    while (write_request_line({.id = "cmpl-1", .client = "c", .path = "/p"}, false))
      ASSERT_LT(++lines, 100'000);
    EXPECT_GT(lines, 100);
    close(ends[0]);  // now nobody can
    EXPECT_FALSE(write_request_line({}, true));
  }
  close(ends[1]);
  if (const int full = open("/dev/full", O_WRONLY | O_CLOEXEC); full >= 0) {
    const OtherStandardError disk(full);
    EXPECT_FALSE(write_request_line({}, true));
    ServerOptions options = quiet_server();
    options.service.log_requests = true;
    const ServedModel served(options);
    EXPECT_EQ(served.ask(kShort).status, 200);
    EXPECT_TRUE(soon([&] {
      return served.ask(get("/metrics")).body.find("\nreprise:log_lines_lost_total 1\n") != std::string::npos;
    }));
    close(full);
  }
}

TEST(RequestLog, HasNoPromptsOutputsOrKeys) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  {
    const OtherStandardError pipe_of_ours(ends[1]);
    ServerOptions options = quiet_server();
    options.service.log_requests = options.service.log_json = true;
    options.service.api_keys = {"secret-key"};
    const ServedModel served(options);
    const Reply reply = served.ask(
        post("/v1/completions", R"({"prompt": "secret-prompt", "max_tokens": 4, "request_id": "\"quoted\""})",
             "Authorization: Bearer secret-key\r\n"
             "traceparent: 00-0123456789abcdef0123456789abcdef-0123456789abcdef-01\r\n"));
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_TRUE(soon([&] { return served.server->open_requests() == 0; }));
  }
  close(ends[1]);
  char text[4096];
  const ssize_t bytes = read(ends[0], text, sizeof text);
  close(ends[0]);
  ASSERT_GT(bytes, 0);
  const std::string line(text, static_cast<size_t>(bytes));
  EXPECT_THAT(line, HasSubstr("\"trace_id\":\"0123456789abcdef0123456789abcdef\""));
  EXPECT_THAT(line, HasSubstr(R"("id":"cmpl-\"quoted\"")"));
  EXPECT_THAT(line, testing::Not(HasSubstr("secret")));
}

}  // namespace
}  // namespace reprise::server
