// Breaks a rule on purpose: models never include graph or engine.
#pragma once
#include "engine/engine.h"
