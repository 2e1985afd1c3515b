#!/usr/bin/env bash
# The floors of docs/architecture.md as a test: a file includes only what is below it, by a path from the root.
# usage: include_check.sh REPOSITORY   exit 0: clean; 1: each offending line is printed
set -euo pipefail
cd "$1"
floors='
core:        core
kernels:     kernels core
weights:     weights core
tokenizer:   tokenizer core
capture:     capture core
distributed: distributed kernels core
ops:         ops core kernels distributed
graph:       graph core ops capture
codegen:     codegen core ops graph
models:      models core ops weights distributed
engine:      engine core kernels weights capture distributed ops graph models
api:         api core kernels weights tokenizer capture distributed ops graph codegen models engine reprise
server:      *
cli:         *
reprise:     reprise
'
# Each line is FILE:LINE:#include "PATH"; the floor of a file is the folder after src/ (or include/).
{ grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src include --include='*.h' --include='*.cc' \
  --include='*.inc' --include='*.cu' || true; } | sort | awk -v floors="$floors" '
  BEGIN {
    rows = split(floors, row, "\n")
    for (i = 1; i <= rows; i++) {
      words = split(row[i], word, /[: ]+/)
      for (j = 2; j <= words; j++) allowed[word[1], word[j]] = 1
      if (words > 1) known[word[1]] = 1
    }
  }
  {
    split($0, part, ":"); split(part[1], folder, "/"); from = folder[2]
    split($0, quote, "\""); split(quote[2], target, "/"); to = target[1]
    if (!(from in known)) problem = "the folder " from "/ is not in the table of floors (tests/style/include_check.sh)"
    else if (!(to in known)) problem = "an include of ours is written from the root, as \"core/error.h\""
    else if (!((from, to) in allowed) && !((from, "*") in allowed)) problem = from "/ may not include " to "/"
    else next
    print part[1] ":" part[2] ": " quote[2] ": " problem; bad = 1
  }
  END { exit bad }'
