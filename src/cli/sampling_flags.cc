#include "cli/sampling_flags.h"

#include <map>
#include <optional>
#include <string>

#include "api/field_text.h"
#include "api/sampling_check.h"
#include "api/sampling_fields.h"
#include "cli/command_line.h"
#include "cli/number_text.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::cli {
namespace {

Json value_of(const api::SamplingField& field, const std::string& name, const std::string& text) {
  if (api::form_of(field) == api::FieldForm::number) {
    if (const std::optional<Json> number = number_of(text)) return *number;
    throw Error("[{}] is '{}', expected a number: {}", name, shortened(text), field.range);
  }
  try {
    return parse_json(text, name);
  } catch (const Error&) {
    throw Error("[{}] is '{}', expected {}", name, shortened(text), field.help);
  }
}

const char* type_of(api::FieldForm form) {
  switch (form) {
    case api::FieldForm::number:
      return "NUMBER";
    case api::FieldForm::json:
      return "JSON";
    default:
      return "TEXT";
  }
}

}  // namespace

SamplingFlags::SamplingFlags(Command& command) {
  for (const api::SamplingField& field : api::sampling_fields()) {
    const std::string flag = api::flag_name(field.name);
    // The type is checked at once, on settings that nobody uses.
    const auto give = [this, &field, flag](const Json& value) {
      Sampling unused;
      api::set_field(field, unused, value, flag);
      fields_[field.name] = value;
      given_.push_back(
          [&field, flag, value](Sampling& sampling) { api::set_field(field, sampling, value, flag); });
    };
    if (api::form_of(field) == api::FieldForm::flag) {
      command
          .on_off(
              flag, [give](bool on) { give(Json(on)); }, field.help)
          .group("Sampling");
    } else if (api::form_of(field) == api::FieldForm::text_list) {
      const auto texts = std::make_shared<Json>(Json::array());
      command
          .add(
              flag, "TEXT",
              [give, texts](const std::string&, const std::string& text) {
                texts->push_back(text);
                give(*texts);
              },
              field.help)
          .repeatable()
          .group("Sampling");
    } else {
      command
          .add(
              flag, type_of(api::form_of(field)),
              [give, &field](const std::string& name, const std::string& text) {
                give(value_of(field, name, text));
              },
              field.help)
          .group("Sampling");
    }
  }
  command.check([this] { api::check_sampling(over({})); });
}

Sampling SamplingFlags::over(Sampling base) const {
  for (const auto& set : given_) set(base);
  return base;
}

}  // namespace reprise::cli
