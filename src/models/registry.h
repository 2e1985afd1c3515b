// The families of models. A family is one entry: its name in config.json, how its model is made, and whether
// it may take part in graph optimisation. A program that embeds Reprise may add its own before it loads a
// model.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "models/weight_loader.h"

namespace reprise::models {

struct Family {
  std::string architecture;  // "LlamaForCausalLM", as in config.json's architectures
  // The forward function traces to a static graph and its launches may be captured.
  bool supports_graph_optimization = false;
  std::function<std::unique_ptr<Model>(const weights::ModelConfig&, WeightLoader&)> make;
};

// Throws Error, listing the known ones, when there is no such family.
const Family& find_family(const std::string& architecture);
std::vector<std::string> known_architectures();
// Adds a family, or replaces the one of that name. Not safe while another thread loads a model.
void register_family(Family family);

}  // namespace reprise::models
