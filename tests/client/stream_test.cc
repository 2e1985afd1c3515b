// Server-sent events and what is read of them.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "client/chunk_scan.h"
#include "client/sse_reader.h"
#include "core/error.h"

namespace reprise::client {
namespace {

using Events = std::vector<std::pair<std::string, std::string>>;

Events read_in_pieces(const std::string& text, size_t piece) {
  Events events;
  SseReader reader([&](std::string_view event, std::string_view data) { events.emplace_back(event, data); });
  for (size_t at = 0; at < text.size(); at += piece) reader.feed(std::string_view(text).substr(at, piece));
  return events;
}

TEST(SseReader, ReadsEventsInAnyPieces) {
  const Events expected = {
      {"", "one"}, {"named", "{\"a\": \"\xC3\xA9\"}"}, {"", "two\nlines"}, {"", ""}, {"", "last"}};
  for (const std::string end : {"\n", "\r\n", "\r"}) {
    std::string text;
    for (const char* line : {"data: one",
                             "",
                             ": a comment",
                             "",
                             "event: named",
                             "data:{\"a\": \"\xC3\xA9\"}",
                             "id: 7",
                             "retry: 5",
                             "",
                             "event: dropped",
                             "",
                             "data: two",
                             "data: lines",
                             "",
                             "data",
                             "",
                             "",
                             "data: last",
                             "",
                             "data: not ended"})
      text += line + end;
    for (size_t piece = 1; piece <= text.size(); ++piece)
      ASSERT_EQ(read_in_pieces(text, piece), expected) << piece;
  }
}

TEST(SseReader, RefusesAnEndlessEvent) {
  SseReader reader([](std::string_view, std::string_view) {});
  const std::string piece = "data: " + std::string(size_t{1} << 20, 'x');
  EXPECT_THROW(for (int i = 0; i < 17; ++i) reader.feed(piece), Error);
  SseReader lines([](std::string_view, std::string_view) {});
  EXPECT_THROW(for (int i = 0; i < 17; ++i) lines.feed(piece + "\n"), Error);
}

TEST(ChunkScan, FindsTextUsageAndErrors) {
  const auto text = [](const char* data) { return scan_chunk(data).text; };
  EXPECT_TRUE(text(R"({"choices":[{"index":0,"text":"a"}]})"));
  EXPECT_TRUE(text(R"({"choices": [{"delta": {"role": "assistant", "content" : "\n"}}]})"));
  EXPECT_TRUE(text(R"({"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]})"));
  EXPECT_TRUE(text(R"({"choices":[{"delta":{"tool_calls":[{"index":0}]}}]})"));
  EXPECT_FALSE(text(R"({"choices":[{"delta":{"role":"assistant","content":""}}]})"));
  EXPECT_FALSE(text(R"({"choices":[{"index":0,"text":"","finish_reason":"stop"}],"usage":null})"));
  EXPECT_FALSE(text("{}"));
  EXPECT_TRUE(scan_chunk("[DONE]").done);
  EXPECT_TRUE(scan_chunk(R"({"error":{"message":"no"}})").error);
  EXPECT_FALSE(scan_chunk(R"({"choices":[{"text":"say \"error\": {\"x\"}"}]})").error);
  EXPECT_FALSE(scan_chunk(R"({"choices":[],"usage":null})").usage);
  EXPECT_TRUE(scan_chunk(R"({"choices":[],"usage": {"prompt_tokens":3}})").usage);
}

TEST(ChunkScan, SurvivesWhatIsNoChunk) {
  for (const char* data :
       {"", "\"", "\"text\"", "\"text\":", "\"text\" :\"", "\"usage\":", "\"content\":\""}) {
    const ChunkNews news = scan_chunk(data);
    EXPECT_FALSE(news.done) << data;
  }
}

TEST(ChunkScan, ReadsUsage) {
  const ChunkUsage usage = usage_of(
      R"({"usage":{"prompt_tokens":7,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}})");
  EXPECT_EQ(usage.prompt_tokens, 7);
  EXPECT_EQ(usage.output_tokens, 5);
  EXPECT_EQ(usage.cached_tokens, 4);
  EXPECT_EQ(usage_of(R"({"usage":{"prompt_tokens":-7,"completion_tokens":"5","prompt_tokens_details":null}})")
                .output_tokens,
            0);
  EXPECT_EQ(usage_of(R"([1])").prompt_tokens, 0);
  EXPECT_THROW(usage_of("{"), Error);
}

}  // namespace
}  // namespace reprise::client
