// Runs an action that may refuse its input: an Error is an answer, every other exception is a finding.
#pragma once

#include "core/error.h"

template <typename Action>
void attempt(Action&& action) {
  try {
    action();
  } catch (const reprise::Error&) {
  }
}
