#include "tokenizer/jinja/chat_template.h"

#include "core/error.h"
#include "core/json.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/parser.h"
#include "tokenizer/jinja/scope.h"
#include "tokenizer/utf8.h"

namespace reprise::tokenizer {

ChatTemplate ChatTemplate::parse(std::string_view source, const TemplateLimits& limits) {
  if (source.size() > limits.max_source_bytes)
    throw Error("[chat template] the source has {} bytes, at most {} are taken", source.size(),
                limits.max_source_bytes);
  if (!is_valid_utf8(source)) throw Error("[chat template] the source is not valid UTF-8");
  auto tree = std::make_shared<jinja::TemplateTree>(jinja::parse_template(source, limits.max_nesting));
  jinja::resolve(*tree);
  return ChatTemplate(std::move(tree), limits);
}

std::string ChatTemplate::render(const Json& context) const {
  return render_chat(context).text;
}

RenderedChat ChatTemplate::render_chat(const Json& context, const std::atomic<bool>* cancel) const {
  if (!context.is_object())
    throw Error("[chat template] the context is a JSON {}, expected an object of variables",
                context.type_name());
  jinja::MarkedText rendered = jinja::Interpreter(*tree_, limits_, context, cancel).run();
  return {std::move(rendered.text), std::move(rendered.marks)};
}

}  // namespace reprise::tokenizer
