// The text side of the repository's tiny model.
#pragma once

#include "api/text_model.h"
#include "source_dir.h"

namespace reprise::api {

inline const TextModel& tiny_text() {
  static const TextModel text = TextModel::load(REPRISE_SOURCE_DIR "/models/tiny");
  return text;
}

}  // namespace reprise::api
