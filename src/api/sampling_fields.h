// The sampling fields of the API in one table, with types, ranges and what they do: set from the JSON of a
// request or a prompt line, and from flags of the commands (cli/sampling_flags.h).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "reprise/reprise.h"

namespace reprise::api {

// How a field is written as a flag.
enum class FieldForm { number, flag, text_list, json };

struct SamplingField {
  const char* name;  // of the API, "top_p"
  FieldForm form;
  const char* range;                         // values and default, "0 to 1 (1)"
  const char* help;                          // one line: the range, then what it does
  void (*set)(Sampling&, const JsonValue&);  // throws Error on a wrong value; use set_field
};
std::span<const SamplingField> sampling_fields();

// Throws Error "[shown_name] is VALUE, expected ..." on a wrong type, a list that is too long or a number out
// of range. Ranges that depend on the model, and fields that contradict each other, are found by
// check_sampling() (sampling_check.h).
void set_field(const SamplingField& field, Sampling& sampling, const Json& value,
               const std::string& shown_name);
// The same from the text of a flag, given once or, where the form is text_list, several times.
void set_field_from_text(const SamplingField& field, Sampling& sampling,
                         const std::vector<std::string>& texts, const std::string& shown_name);
// The same as set_field by name; null leaves the field as it is. False: there is no such field.
bool set_sampling_field(Sampling& sampling, const std::string& name, const Json& value);

// Names of all fields, for messages.
std::string sampling_field_names();

}  // namespace reprise::api
