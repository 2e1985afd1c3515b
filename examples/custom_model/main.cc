// Registers a family of models of its own, makes a model of it from a config.json and random weights, and
// runs it in every way that the engine knows: the tokens and log-probabilities must be the same bits.
//   custom_model FOLDER     (FOLDER gets the config.json)
#include <reprise/reprise.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "backbone.h"

namespace {

void write_config(const std::filesystem::path& folder, const std::string& architecture) {
  std::filesystem::create_directories(folder);
  std::ofstream file(folder / "config.json");
  file << R"({"architectures": [")" << architecture << R"("],
  "vocab_size": 211, "hidden_size": 96, "mlp_width": 200, "num_hidden_layers": 3, "num_attention_heads": 6,
  "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 256, "layer_norm_eps": 1e-6,
  "rope_theta": 500000.0, "tie_word_embeddings": true})";
}

bool is_greedy(size_t prompt) {
  return prompt % 2 == 0;
}

std::vector<reprise::Prompt> prompts() {
  std::vector<reprise::Prompt> list;
  for (const std::vector<int32_t>& ids :
       {std::vector<int32_t>{1, 2, 3}, {7, 8, 9, 10, 11, 12, 13, 14, 15}, {42}, {5, 5, 5, 6}}) {
    reprise::Prompt& prompt = list.emplace_back();
    prompt.token_ids = ids;
    prompt.sampling.temperature = is_greedy(list.size() - 1) ? 0.0f : 1.0f;
    prompt.sampling.seed = 7;
    prompt.sampling.max_tokens = 24;
    prompt.sampling.logprobs = 3;
  }
  return list;
}

bool same_bits(const reprise::Result& a, const reprise::Result& b) {
  const auto& left = a.outputs[0].logprobs;
  const auto& right = b.outputs[0].logprobs;
  return a.outputs[0].token_ids == b.outputs[0].token_ids &&
         std::equal(left.begin(), left.end(), right.begin(), right.end(), [](const auto& x, const auto& y) {
           return x.token_id == y.token_id && x.logprob == y.logprob;
         });
}

struct Way {
  const char* name;
  std::string graph_optimization_config;  // "": op by op
  bool captured;
  // Generated kernels may add up in another order: the same greedy tokens, almost the same numbers.
  bool reassociates = false;
};
const std::vector<Way> kWays = {
    {"level 0", "", false},
    {"level 0, captured", R"({"use_cudagraph": true})", true},
    {"level 1", R"({"graph_opt_level": 1})", false},
    {"level 1, captured", R"({"graph_opt_level": 1, "use_cudagraph": true})", true},
    {"level 1, captured at sizes 2 and 4",
     R"({"graph_opt_level": 1, "use_cudagraph": true, "cudagraph_capture_sizes": [2, 4]})", true},
    {"level 1, captured, split at attention",
     R"({"graph_opt_level": 1, "use_cudagraph": true, "full_cuda_graph": false})", true},
    {"level 2, captured", R"({"graph_opt_level": 2, "use_cudagraph": true})", true, true},
};

// Runs one way, prints the paths that its steps took, and returns whether it gave what `expected` has, which
// the first way fills.
bool run(const std::string& folder, const Way& way, std::vector<reprise::Result>& expected) {
  reprise::LanguageModel model =
      reprise::LanguageModel::load({.model = folder,
                                    .random_weights = true,
                                    .graph_optimization_config = way.graph_optimization_config,
                                    .capture_before_ready = true});
  const std::vector<reprise::Result> results = model.generate(prompts());
  std::cout << way.name << ": " << results[0].metrics.steps_replayed << " steps replayed";
  for (const auto& [reason, steps] : results[0].metrics.steps_not_replayed)
    std::cout << ", " << steps << " not (" << reason << ")";
  if (expected.empty()) expected = results;
  bool good = true;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].error.empty()) throw std::runtime_error(results[i].error);
    if (!way.reassociates)
      good = good && same_bits(results[i], expected[i]);
    else if (is_greedy(i))
      good = good && results[i].outputs[0].token_ids == expected[i].outputs[0].token_ids;
  }
  std::cout << (!good              ? ": DIFFERENT"
                : way.reassociates ? ": the same greedy tokens"
                                   : ": the same bits")
            << "\n";
  if (way.captured && results[0].metrics.steps_replayed == 0) {
    std::cout << way.name << ": NOTHING WAS REPLAYED\n";
    good = false;
  }
  return good;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: custom_model FOLDER\n";
    return 2;
  }
  const std::string folder = argv[1];
  bool good = true;
  try {
    reprise::register_model_family(side_by_side_family());
    write_config(folder, "SideBySideForCausalLM");
    std::vector<reprise::Result> expected;
    for (const Way& way : kWays) {
      try {
        good = run(folder, way, expected) && good;
      } catch (const std::exception& e) {
        // A build without a compiler says so.
        if (!way.reassociates) throw;
        std::cout << way.name << ": " << e.what() << "\n";
      }
    }

    // A family that does not say that it takes part is refused by name, never run silently op by op.
    reprise::register_model_family(op_by_op_family());
    write_config(folder, "OpByOpForCausalLM");
    good = run(folder, {"OpByOpForCausalLM, level 0", "", false}, expected) && good;
  } catch (const std::exception& e) {
    std::cerr << "custom_model: error: " << e.what() << "\n";
    return 1;
  }
  try {
    reprise::LanguageModel::load({.model = folder, .random_weights = true, .use_cudagraph = true});
    std::cout << "OpByOpForCausalLM: NOT REFUSED\n";
    good = false;
  } catch (const std::exception& e) {
    std::cout << "refused: " << e.what() << "\n";
  }
  return good ? 0 : 1;
}
