#!/usr/bin/env bash
# The floors of docs/architecture.md as a test: a file includes only what is below it, by a path from the root.
# usage: include_check.sh REPOSITORY   exit 0: clean; 1: each offending line is printed
set -euo pipefail
cd "$1"
# A line names a folder and what its files may include; a folder within a folder that has a line of its own is a room,
# and whoever may include the outer one may include its rooms.
floors='
core:        core reprise/error.h
loop:        loop core
kernels:     kernels core loop
weights:     weights core
tokenizer/jinja: tokenizer/jinja tokenizer/text_span.h tokenizer/utf8.h core
tokenizer:   tokenizer core
capture:     capture core
device/cpu:  device/cpu core capture kernels
distributed: distributed kernels core
ops:         ops core distributed loop
ops/cpu:     ops core device/cpu kernels/cpu loop
graph:       graph core ops capture
graph/passes: graph core ops
codegen:     codegen core ops graph loop capture device/cpu kernels/cpu
codegen/llvm: codegen core loop
models:      models core ops weights distributed
engine/config:     engine/config core
engine/kv:         engine/kv engine/config core models weights
engine/scheduling: engine/scheduling engine/kv/kv_blocks.h core
engine/step:       engine/step engine/scheduling engine/kv engine/config core ops models
engine/engine_services.h: engine/config core graph
engine/replay:     engine/replay engine/engine_services.h engine/step engine/scheduling engine/config core capture graph ops models
engine/verify:     engine/verify engine/engine_services.h engine/replay engine/step engine/kv engine/config core capture graph ops models
engine/runner:     engine/runner engine/engine_services.h engine/verify engine/replay engine/step engine/scheduling engine/kv engine/config core ops models
engine:      engine core models
api:         api core loop device weights tokenizer capture distributed ops graph codegen models engine reprise
net:         net
client:      client core
server:      server core tokenizer engine api reprise
cli:         cli core device weights tokenizer capture ops graph codegen models engine api client server reprise
reprise:     reprise
'
# Each line is FILE:LINE:#include "PATH"; the floor of a file is the folder after src/ (or include/).
{ grep -rnE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src include --include='*.h' --include='*.cc' \
  --include='*.inc' --include='*.cu' || true; } | sort | awk -v floors="$floors" '
  # The deepest folder of `path` (or the file itself) that is in the table; "" where none is.
  function room(path) {
    while (path != "" && !(path in known)) if (!sub("/[^/]*$", "", path)) path = ""
    return path
  }
  function allows(from, path) {
    if ((from, "*") in allowed) return 1
    while (!((from, path) in allowed)) if (!sub("/[^/]*$", "", path)) return 0
    return 1
  }
  BEGIN {
    rows = split(floors, row, "\n")
    for (i = 1; i <= rows; i++) {
      words = split(row[i], word, /[: ]+/)
      for (j = 2; j <= words; j++) allowed[word[1], word[j]] = 1
      if (words > 1) known[word[1]] = 1
    }
  }
  {
    split($0, part, ":"); file = part[1]; sub("^[^/]*/", "", file); from = room(file)
    split($0, quote, "\""); to = quote[2]; shown = room(to)
    if (from == "") problem = "the folder " file " lies in is not in the table of floors (tests/style/include_check.sh)"
    else if (shown == "") problem = "an include of ours is written from the root, as \"core/error.h\""
    else if (!allows(from, to)) problem = from "/ may not include " shown "/"
    else next
    print part[1] ":" part[2] ": " quote[2] ": " problem; bad = 1
  }
  END { exit bad }'
