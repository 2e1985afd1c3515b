// The tiny checkpoints of tests/models/golden (made by tools/make_logits_goldens.py with transformers) and
// how the tests here run them: through the public API, whole-vocabulary log-probabilities at every position.
#pragma once

#include <reprise/reprise.h>

#include <cstdint>
#include <string>
#include <vector>

namespace reprise::golden {

struct Case {
  std::vector<int32_t> prompt;
  std::vector<int32_t> tokens;            // greedy
  std::vector<std::vector<double>> rows;  // [prompt + tokens - 1][vocab], after the first row + 1 tokens
};

struct Golden {
  std::string name;
  std::string folder;
  std::vector<Case> cases;
  double bfloat16_rms = 0;  // error of transformers in bfloat16 over each prompt's rows; 0: not given
};

// Names of all of them, sorted.
std::vector<std::string> golden_names();
Golden load_golden(const std::string& name);

// Names of the ISA levels that this machine can run.
std::vector<std::string> runnable_isas();

// Options that suit the tiny models: 128 positions, every log-probability may be asked for.
LoadOptions golden_options(const Golden& golden, const std::string& dtype, const std::string& isa);

// A greedy request for all log-probabilities.
Prompt greedy_prompt(const std::vector<int32_t>& ids, int max_tokens);

// The distributions that a result carries, in the order of Case::rows; tokens without an entry are NaN.
std::vector<std::vector<double>> rows_of(const Result& result, size_t vocab);

}  // namespace reprise::golden
