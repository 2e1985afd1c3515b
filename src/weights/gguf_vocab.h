// Reads the vocabulary that a GGUF file carries.
#pragma once

#include "core/gguf_vocab.h"
#include "weights/gguf.h"

namespace reprise::weights {

// Throws Error when the tokenizer is missing, its lists have different lengths, or a type or an id is outside
// of them. A chat template that is no text is left out: a plain prompt needs none.
GgufVocab read_gguf_vocab(const GgufMetadata& metadata);

}  // namespace reprise::weights
