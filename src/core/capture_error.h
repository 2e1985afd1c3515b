// The error of code that breaks a rule of captures (core/capture_rules.h).
#pragma once

#include <string>
#include <string_view>

#include "core/capture_rules.h"
#include "core/error.h"

namespace reprise {

// Its message names the rule, what was found, op, layer, and how to fix it. `fix` may be left out: each rule
// has a usual one.
class CaptureError : public Error {
 public:
  CaptureError(CaptureRule rule, std::string_view op, std::string_view layer, std::string_view found,
               std::string_view fix = {});
  CaptureRule rule() const { return rule_; }
  const std::string& op() const { return op_; }
  const std::string& layer() const { return layer_; }

 private:
  CaptureRule rule_;
  std::string op_, layer_;
};

}  // namespace reprise
