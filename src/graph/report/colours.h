// Colours that both reports use, by what an op is.
#pragma once

#include <string_view>

#include "ops/op.h"

namespace reprise::graph {

struct KindStyle {
  std::string_view name;
  std::string_view colour;
};

constexpr KindStyle style_of(ops::OpKind kind) {
  switch (kind) {
    case ops::OpKind::elementwise:
      return {"elementwise", "#8ecae6"};
    case ops::OpKind::reduction:
      return {"reduction", "#b7e4c7"};
    case ops::OpKind::matmul:
      return {"matmul", "#ffb703"};
    case ops::OpKind::attention:
      return {"attention", "#fb8500"};
    case ops::OpKind::data_movement:
      return {"data movement", "#d3d3d3"};
    case ops::OpKind::collective:
      return {"collective", "#c77dff"};
    case ops::OpKind::opaque:
      return {"other", "#f4acb7"};
  }
  return {"other", "#f4acb7"};
}

inline constexpr ops::OpKind kAllKinds[] = {
    ops::OpKind::matmul,        ops::OpKind::attention,  ops::OpKind::reduction, ops::OpKind::elementwise,
    ops::OpKind::data_movement, ops::OpKind::collective, ops::OpKind::opaque};

}  // namespace reprise::graph
