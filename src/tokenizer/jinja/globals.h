// The names every template sees: range, dict, namespace, raise_exception, strftime_now.
#pragma once

#include "core/seeded_hash.h"
#include "tokenizer/jinja/runtime.h"

namespace reprise::tokenizer::jinja {

using Variables = SeededMap<Value>;

// Adds the globals; names already there (the caller's variables) win.
void add_globals(Runtime& runtime, Variables& variables);

// What {% set ns.x = 1 %} changes.
class Namespace : public HostObject {
 public:
  std::string_view type_name() const override { return "TemplateNamespace"; }
  MarkedText repr(Runtime& runtime) const override;
  std::optional<Value> attribute(Runtime& runtime, const Value& self, std::string_view name) override;
  // Names that begin with an underscore fail, as transformers has it.
  void set(Runtime& runtime, MarkedView name, const Value& value);
  void clear() { entries_.clear(); }

 private:
  std::vector<std::pair<Value, Value>> entries_;
  mutable bool printing_ = false;
};

}  // namespace reprise::tokenizer::jinja
