// Names and their meaning are those of llama.cpp (llama-vocab.cpp). Where llama.cpp's pattern is an
// approximation, the pattern here is that of the makers' tokenizer.json, which transformers uses.
#include "tokenizer/gguf_pre.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "tokenizer/pretokenizer.h"

namespace reprise::tokenizer {
namespace {

constexpr const char* kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Mistral Nemo, Ministral, Mistral Small 3.
constexpr const char* kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kGpt4oPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

using Names = const std::string_view[];
using Patterns = const char* const[];

constexpr Names kDefaultNames = {"default"};
const Patterns kDefaultPatterns = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"};
constexpr Names kGpt2Names = {"gpt-2", "phi-2", "mpt", "olmo"};
const Patterns kGpt2Patterns = {kGpt2Pattern};
constexpr Names kSmollmNames = {"smollm"};  // digits one by one
const Patterns kSmollmPatterns = {R"(\p{N})", kGpt2Pattern};
constexpr Names kQwen2Names = {"qwen2", "deepseek-r1-qwen", "megrez"};
constexpr Patterns kQwen2Patterns = {kQwen2Pattern};
constexpr Names kQwen35Names = {"qwen35"};
constexpr Patterns kQwen35Patterns = {kQwen35Pattern};
constexpr Names kLlama3Names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral"};
constexpr Patterns kLlama3Patterns = {kLlama3Pattern};
constexpr Names kTekkenNames = {"tekken"};
constexpr Patterns kTekkenPatterns = {kTekkenPattern};
constexpr Names kGpt4oNames = {"gpt-4o", "llama4"};
constexpr Patterns kGpt4oPatterns = {kGpt4oPattern};

const std::array kPres = {
    GgufPre{kDefaultNames, kDefaultPatterns},
    GgufPre{kGpt2Names, kGpt2Patterns},
    GgufPre{kSmollmNames, kSmollmPatterns},
    GgufPre{.names = kQwen2Names, .patterns = kQwen2Patterns, .nfc = true},
    GgufPre{.names = kQwen35Names, .patterns = kQwen35Patterns, .nfc = true},
    GgufPre{.names = kLlama3Names, .patterns = kLlama3Patterns, .ignore_merges = true, .add_bos = true},
    GgufPre{.names = kTekkenNames, .patterns = kTekkenPatterns, .ignore_merges = true, .add_bos = true},
    GgufPre{.names = kGpt4oNames, .patterns = kGpt4oPatterns},
};

}  // namespace

const GgufPre& find_gguf_pre(std::string_view name) {
  if (name.empty()) name = "default";
  std::string known;
  for (const GgufPre& pre : kPres) {
    if (std::find(pre.names.begin(), pre.names.end(), name) != pre.names.end()) return pre;
    for (const std::string_view one : pre.names) known.append(known.empty() ? "" : ", ").append(one);
  }
  throw Error("[GGUF tokenizer] tokenizer.ggml.pre \"{}\" is not known; known are {}", name, known);
}

}  // namespace reprise::tokenizer
