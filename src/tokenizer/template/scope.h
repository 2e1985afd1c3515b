// Decides where every variable of a template lives, exactly as jinja2's compiler does (jinja2.idtracking):
// each scope is analysed before it runs, so a name that a scope stores anywhere is its own from its first
// line, starting as an alias of the outer one. Scopes of one function share a frame of slots; macros see the
// frames they were defined in.
//
// Also checks what jinja2 finds only while it compiles: unknown filters and tests outside of conditions, and
// stores to the loop variable. Throws Error with the line.
#pragma once

#include "tokenizer/template/ast.h"

namespace reprise::tokenizer::jinja {

void resolve(TemplateTree& tree);

}  // namespace reprise::tokenizer::jinja
