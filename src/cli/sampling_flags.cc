#include "cli/sampling_flags.h"

#include "api/field_text.h"
#include "api/sampling_fields.h"

namespace reprise::cli {
SamplingFlags::SamplingFlags(CLI::App& command) {
  for (const api::SamplingField& field : api::sampling_fields()) {
    const std::string name = field.name;
    CLI::Option* option;
    if (field.form == api::FieldForm::flag)
      option = command.add_flag_callback(
          api::flag_name(name), [this, name] { given_[name] = {"true"}; }, field.help);
    else
      option =
          command
              .add_option_function<std::vector<std::string>>(
                  api::flag_name(name),
                  [this, name](const std::vector<std::string>& values) { given_[name] = values; }, field.help)
              ->expected(1)
              ->allow_extra_args(false);  // else CLI11 takes "[4,5]" apart
    if (field.form == api::FieldForm::text_list) option->take_all();
    option->group("Sampling");
  }
}

Sampling SamplingFlags::over(Sampling sampling) const {
  for (const api::SamplingField& field : api::sampling_fields()) {
    const auto given = given_.find(field.name);
    if (given == given_.end()) continue;
    api::set_field_from_text(field, sampling, given->second, api::flag_name(field.name));
  }
  return sampling;
}

}  // namespace reprise::cli
