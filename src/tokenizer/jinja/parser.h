// From tokens to the tree, by jinja2's grammar. Throws Error with the line on anything jinja2 refuses, and on
// what chat templates may not do: extends, include, import, block, autoescape.
#pragma once

#include <string_view>

#include "tokenizer/jinja/ast.h"

namespace reprise::tokenizer::jinja {

// `max_depth` bounds the nesting of expressions; statements nest at most 100 deep, as in jinja2.
TemplateTree parse_template(std::string_view source, int max_depth);

}  // namespace reprise::tokenizer::jinja
