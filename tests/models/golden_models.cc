#include "tests/models/golden_models.h"

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/isa.h"
#include "core/json.h"
#include "device/cpu/isa_select.h"
#include "source_dir.h"

namespace reprise::golden {
namespace {

const std::filesystem::path kFolder = std::filesystem::path(REPRISE_SOURCE_DIR) / "tests/models/golden";

}  // namespace

std::vector<std::string> golden_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

Golden load_golden(const std::string& name) {
  const Json json = read_json_file(kFolder / name / "expected.json");
  Golden golden;
  golden.name = name;
  golden.folder = (kFolder / name).string();
  for (const Json& entry : json.at("cases")) {
    golden.cases.push_back({.prompt = entry.at("prompt").get<std::vector<int32_t>>(),
                            .tokens = entry.at("tokens").get<std::vector<int32_t>>(),
                            .rows = entry.at("rows").get<std::vector<std::vector<double>>>()});
  }
  golden.bfloat16_rms = json.value("bfloat16_rms", 0.0);
  return golden;
}

std::vector<std::string> runnable_isas() {
  std::vector<std::string> names;
  for (Isa isa : cpu::available_isas()) names.emplace_back(name_of(isa));
  return names;
}

LoadOptions golden_options(const Golden& golden, const std::string& dtype, const std::string& isa) {
  LoadOptions options;
  options.model = golden.folder;
  options.dtype = dtype;
  options.isa = isa;
  options.threads = 1;
  options.max_model_len = 128;
  options.block_size = 16;
  options.max_logprobs = -1;
  return options;
}

Prompt greedy_prompt(const std::vector<int32_t>& ids, int max_tokens) {
  Prompt prompt;
  prompt.token_ids = ids;
  prompt.sampling.temperature = 0;
  prompt.sampling.max_tokens = max_tokens;
  prompt.sampling.ignore_eos = true;
  prompt.sampling.logprobs = -1;
  prompt.sampling.prompt_logprobs = -1;
  return prompt;
}

std::vector<std::vector<double>> rows_of(const Result& result, size_t vocab) {
  std::vector<std::vector<double>> rows;
  const auto add = [&](const TokenLogprob& position) {
    rows.emplace_back(vocab, std::numeric_limits<double>::quiet_NaN());
    for (const RankedToken& ranked : position.top)
      rows.back().at(static_cast<size_t>(ranked.token_id)) = ranked.logprob;
  };
  for (const TokenLogprob& position : result.prompt_logprobs) add(position);
  for (const TokenLogprob& position : result.outputs.at(0).logprobs) add(position);
  return rows;
}

}  // namespace reprise::golden
