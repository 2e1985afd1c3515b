// The sampling fields of the API in one table, with types, ranges and what they do: set from the JSON of a
// request or a prompt line, and from flags of the commands (cli/sampling_flags.h).
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "core/json_fields.h"
#include "reprise/reprise.h"

namespace reprise::api {

enum class FieldType {
  number,
  integer,
  seed,  // an integer of 64 bits, with or without sign
  boolean,
  text_list,      // a string or a list of strings
  id_list,        // of token ids
  id_lists,       // a list of token ids and of lists of them
  token_biases,   // an object of token ids and numbers
  logprob_count,  // an integer, or false for none and true for 0
};

// Of numbers the values taken, of token_biases those of each number; of lists and objects the sizes.
struct FieldLimits {
  double least = 0, most = 0;
  bool above_least = false;  // `least` itself is not taken
  size_t most_items = 0;
  size_t most_in_all = 0;  // bytes of all strings, ids of all lists; 0: no limit of its own
};

struct SamplingField {
  const char* name;  // of the API, "top_p"
  FieldType type;
  FieldLimits limits;
  const char* standard;  // JSON of what holds where the request says nothing; null: none
  const char* range;     // values and default for people, "0 to 1 (1)"
  const char* help;      // one line: the range, then what it does
  // Throws Error on a wrong value; use set_field.
  void (*set)(Sampling&, const SamplingField&, const JsonValue&);
};
std::span<const SamplingField> sampling_fields();

// Throws Error "[shown_name] is VALUE, expected ..." on a wrong type, a list that is too long or a number out
// of range: the table's limits. Ranges that depend on the model, and fields that contradict each other, are found by
// check_sampling() (sampling_check.h).
void set_field(const SamplingField& field, Sampling& sampling, const Json& value,
               const std::string& shown_name);
// The same from the text of a flag, given once or, where the form is text_list, several times.
void set_field_from_text(const SamplingField& field, Sampling& sampling,
                         const std::vector<std::string>& texts, const std::string& shown_name);
// The same as set_field by name; null leaves the field as it is. False: there is no such field.
bool set_sampling_field(Sampling& sampling, const std::string& name, const Json& value);

// The field as a JSON schema, as OpenAPI has it: type, range, default, description.
Json field_schema(const SamplingField& field);

// How a field is written as a flag: a number, a switch that stands alone, a text that may be repeated, or JSON.
enum class FieldForm { number, flag, text_list, json };
FieldForm form_of(const SamplingField& field);

// Names of all fields, for messages.
std::string sampling_field_names();

}  // namespace reprise::api
