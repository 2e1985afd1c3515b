// What each family's file gives to the registry.
#pragma once

#include "models/registry.h"

namespace reprise::models {

Family llama_family();     // llama.cc
Family mistral_family();   // mistral.cc
Family qwen2_family();     // qwen2.cc
Family qwen3_family();     // qwen3.cc
Family ernie4_5_family();  // ernie4_5.cc

}  // namespace reprise::models
