// Breaks a floor on purpose: core includes nothing of the folders above it.
#pragma once
#include "ops/op.h"
