// The family of this program: a decoder whose attention and MLP run side by side on one LayerNorm, with a
// squared ReLU that the program brings itself.
#pragma once

#include <reprise/model.h>

// "SideBySideForCausalLM", and without the field that lets a model take part in graph optimisation
// "OpByOpForCausalLM".
reprise::ModelFamily side_by_side_family();
reprise::ModelFamily op_by_op_family();
