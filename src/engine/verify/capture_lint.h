// Whether a model's step may be captured, found without running it: what can't be traced or recorded, and the
// two-capture diff. A step is traced and recorded twice with other contents in every dynamic input; what
// differs depends on those contents, and every replay would repeat what was captured.
#pragma once

#include <string>
#include <vector>

#include "engine/config/engine_config.h"
#include "engine/engine_services.h"
#include "engine/replay/captured_step.h"
#include "graph/passes/pass.h"

namespace reprise::models {
class Model;
}

namespace reprise::engine {

struct CaptureLint {
  std::string untraceable = {};  // why the model's code can't be traced; "" where it can
  std::string difference = {};   // the first between two captures, op and layer named; "" where there is none
  std::vector<Split> splits = {};  // nodes that run eagerly, because they can't be captured or by split mode
  size_t launches = 0;             // of a decode step as recorded
  std::vector<graph::GroupRun> groups = {};  // of a step, at level 2
};

// At the level and with the splits of `config`, which is resolved. `model` may be a skeleton; nothing of it
// is read.
CaptureLint lint_capture(const models::Model& model, const EngineServices& services,
                         const EngineConfig& config);

}  // namespace reprise::engine
