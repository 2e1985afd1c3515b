// Breaks a rule on purpose: a public header includes no private one.
#pragma once
#include "core/tensor.h"
