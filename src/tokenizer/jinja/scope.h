// Decides where every variable of a template lives, by jinja2's rules (jinja2.idtracking): each scope is read
// before it runs, so a name that a scope stores anywhere is its own from its first line on, starting with the
// outer value. Every scope has a slot for each name that it mentions; entering it fills the slots (Scope in
// ast.h).
//
// Also checks what jinja2 finds only while it compiles: unknown filters and tests outside of conditions, and
// stores to the loop variable. Throws Error with the line. Time is linear in the template.
#pragma once

#include "tokenizer/jinja/ast.h"

namespace reprise::tokenizer::jinja {

void resolve(TemplateTree& tree);

}  // namespace reprise::tokenizer::jinja
