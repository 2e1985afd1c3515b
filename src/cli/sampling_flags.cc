#include "cli/sampling_flags.h"

#include "cli/sampling_fields.h"
#include "core/json.h"

namespace reprise::cli {
namespace {

std::string dashed(std::string name) {
  for (char& c : name)
    if (c == '_') c = '-';
  return "--" + name;
}

}  // namespace

SamplingFlags::SamplingFlags(CLI::App& command) {
  for (const SamplingField& field : sampling_fields()) {
    const std::string name = field.name;
    CLI::Option* option;
    if (field.form == FieldForm::flag)
      option = command.add_flag_callback(
          dashed(name), [this, name] { given_[name] = {"true"}; }, field.help);
    else
      option =
          command
              .add_option_function<std::vector<std::string>>(
                  dashed(name),
                  [this, name](const std::vector<std::string>& values) { given_[name] = values; }, field.help)
              ->expected(1)
              ->allow_extra_args(false);  // else CLI11 takes "[4,5]" apart
    if (field.form == FieldForm::text_list) option->take_all();
    option->group("Sampling");
  }
}

Sampling SamplingFlags::over(Sampling sampling) const {
  for (const SamplingField& field : sampling_fields()) {
    const auto given = given_.find(field.name);
    if (given == given_.end()) continue;
    const std::string flag = dashed(field.name);
    set_field(
        field, sampling,
        field.form == FieldForm::text_list ? Json(given->second) : parse_json(given->second.back(), flag),
        flag);
  }
  return sampling;
}

}  // namespace reprise::cli
