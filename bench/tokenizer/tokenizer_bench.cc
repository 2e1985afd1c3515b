// Encoding and decoding speed in MB/s of text, one core, and the time to load. The texts are made here from a
// seed, so that numbers compare across machines: prose (English-like words, seldom ones included), code, and
// mixed scripts. Vocabularies: each folder with a tokenizer.json below REPRISE_TOKENIZERS (default
// ../shared/data/tokenizers).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "source_dir.h"
#include "tokenizer/streaming_decoder.h"
#include "tokenizer/tokenizer.h"

namespace {

using reprise::tokenizer::StreamingDecoder;
using reprise::tokenizer::Tokenizer;

constexpr size_t kBytes = 2 << 20;

// A language of its own: 20,000 words whose frequencies fall off like 1/rank.
std::string make_prose() {
  std::mt19937 rng(1);
  static const char* const kSyllables[] = {"the", "an", "in",  "er", "con", "ti", "on",  "al", "re", "st",
                                           "ing", "ed", "pro", "ma", "ly",  "is", "com", "en", "de", "ver"};
  std::vector<std::string> words;
  for (int k = 0; k < 20000; ++k) {
    std::string word;
    for (size_t n = 1 + rng() % 4; n > 0; --n) word += kSyllables[rng() % std::size(kSyllables)];
    words.push_back(word);
  }
  std::uniform_real_distribution<double> uniform(0, 1);
  std::string text;
  while (text.size() < kBytes) {
    const auto rank = static_cast<size_t>(std::pow(static_cast<double>(words.size()), uniform(rng))) - 1;
    std::string word = words[std::min(rank, words.size() - 1)];
    const auto dice = rng() % 100;
    if (dice < 8) word[0] = static_cast<char>(std::toupper(word[0]));
    text += word;
    text += dice < 70 ? " " : dice < 80 ? ", " : dice < 90 ? ". " : dice < 95 ? "\n" : " 1984 ";
  }
  return text;
}

std::string make_code() {
  std::mt19937 rng(2);
  static const char* const kNames[] = {"index",  "value", "buffer", "node_count",
                                       "kLimit", "it",    "x",      "request"};
  static const char* const kForms[] = {"for (int {} = 0; {} < {}; ++{}) {\n",
                                       "  return {}->{}({});\n",
                                       "}\n\n",
                                       "    if ({} != nullptr && {} > 42) {} += {};\n",
                                       "#include <{}>\n",
                                       "  // {} is the {} of the {}\n",
                                       "  auto {} = std::max({}, {});\n"};
  std::string text;
  while (text.size() < kBytes) {
    std::string line = kForms[rng() % std::size(kForms)];
    for (size_t at; (at = line.find("{}")) != std::string::npos;) {
      std::string name = kNames[rng() % std::size(kNames)];
      if (rng() % 4 == 0) name += std::to_string(rng() % 1000);
      line.replace(at, 2, name);
    }
    text += line;
  }
  return text;
}

std::string make_scripts() {
  std::mt19937 rng(3);
  static const char* const kWords[] = {"Москва",     "строка", "世界",    "你好吗",
                                       "こんにちは", "한국어", "नमस्ते",    "مرحبا",
                                       "naïve",      "Ωμέγα",  "😀",       "👩‍👩‍👧",
                                       "Straße",     "été",    "ภาษาไทย", "日本語"};
  std::string text;
  while (text.size() < kBytes) {
    text += kWords[rng() % std::size(kWords)];
    text += rng() % 3 == 0 ? "、" : " ";
  }
  return text;
}

void encode(benchmark::State& state, const Tokenizer* tokenizer, const std::string* text) {
  size_t tokens = 0;
  for (auto _ : state) tokens = tokenizer->encode(*text).size();
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text->size()));
  state.counters["bytes/token"] = static_cast<double>(text->size()) / static_cast<double>(tokens);
}

void decode(benchmark::State& state, const Tokenizer* tokenizer, const std::string* text) {
  const std::vector<int32_t> ids = tokenizer->encode(*text);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer->decode(ids));
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text->size()));
}

void stream(benchmark::State& state, const Tokenizer* tokenizer, const std::string* text) {
  const std::vector<int32_t> ids = tokenizer->encode(*text);
  for (auto _ : state) {
    StreamingDecoder decoder(*tokenizer);
    for (const int32_t id : ids) benchmark::DoNotOptimize(decoder.push(id));
    benchmark::DoNotOptimize(decoder.flush());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * ids.size()));
}

void load(benchmark::State& state, const std::filesystem::path& folder) {
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::load(folder));
}

std::filesystem::path tokenizers_folder() {
  if (const char* folder = std::getenv("REPRISE_TOKENIZERS")) return folder;
  return std::filesystem::path(REPRISE_SOURCE_DIR) / "../shared/data/tokenizers";
}

}  // namespace

int main(int argc, char** argv) {
  const std::pair<const char*, std::string> texts[] = {
      {"prose", make_prose()}, {"code", make_code()}, {"scripts", make_scripts()}};
  std::vector<std::filesystem::path> folders;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(tokenizers_folder(), none)) {
    if (std::filesystem::exists(entry.path() / "tokenizer.json")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const auto& folder : folders) {
    const std::string name = folder.filename().string();
    tokenizers.push_back(std::make_unique<Tokenizer>(Tokenizer::load(folder)));
    const Tokenizer* tokenizer = tokenizers.back().get();
    for (const auto& [kind, text] : texts) {
      benchmark::RegisterBenchmark(("encode/" + name + "/" + kind).c_str(), encode, tokenizer, &text);
    }
    benchmark::RegisterBenchmark(("decode/" + name).c_str(), decode, tokenizer, &texts[0].second);
    benchmark::RegisterBenchmark(("stream/" + name).c_str(), stream, tokenizer, &texts[0].second);
    benchmark::RegisterBenchmark(("load/" + name).c_str(), load, folder)->Unit(benchmark::kMillisecond);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
