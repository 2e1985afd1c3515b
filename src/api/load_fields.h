// The fields of LoadOptions in one table: flags of the commands, and keys of a server's configuration file.
#pragma once

#include <span>
#include <string>

#include "reprise/reprise.h"

namespace reprise::api {

// What a field's value is written as.
enum class LoadForm {
  text,
  number,
  size,    // bytes with or without a unit, "2GiB"
  flag,    // true or false, off by default
  on_flag  // true or false, on by default
};

struct LoadField {
  const char* name;  // "max_model_len"; its flag is flag_name(name), "--max-model-len"
  LoadForm form;
  const char* group;  // heading in help: "Model" or "Graph optimization"
  const char* help;
  void (*set)(LoadOptions&, const std::string& value);  // throws on a wrong value; use set_load_field
};
// All but `seed`, which the commands take from the sampling flags.
std::span<const LoadField> load_fields();

// Throws Error "[shown_name] is 'x', expected ..." on a value of the wrong type or out of range.
void set_load_field(const LoadField& field, LoadOptions& options, const std::string& value,
                    const std::string& shown_name);

}  // namespace reprise::api
