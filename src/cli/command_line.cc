#include "cli/command_line.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "api/field_text.h"
#include "core/error.h"
#include "core/nearest.h"
#include "core/text_output.h"

namespace reprise::cli {
namespace {

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  const std::vector<std::string_view> views(known.begin(), known.end());
  const std::string_view nearest = nearest_name(name, views);
  return nearest.empty() ? "" : fmt::format("; did you mean {}?", nearest);
}

}  // namespace

std::string shortened(std::string_view text) {
  constexpr size_t kShown = 200;
  return text.size() <= kShown ? std::string(text) : std::string(text.substr(0, kShown)) + "...";
}

void require_choice(const std::string& flag, const std::string& value,
                    const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  throw Error("[{}] is '{}', expected one of {}{}", flag, value, fmt::join(choices, ", "),
              did_you_mean(value, choices));
}

std::vector<int64_t> parse_integers(const std::string& flag, std::string_view text, int64_t least,
                                    int64_t most) {
  std::vector<int64_t> integers;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    const std::string_view item = text.substr(at, comma - at);
    int64_t value = 0;
    const auto [end, status] = std::from_chars(item.data(), item.data() + item.size(), value);
    if (status != std::errc() || end != item.data() + item.size() || value < least || value > most)
      throw Error("[{}] is '{}', expected integers from {} to {} between commas, such as 1,2,3; '{}' is none",
                  flag, shortened(text), least, most, shortened(item));
    integers.push_back(value);
    at = comma + 1;
  }
  return integers;
}

Flag& Flag::required() {
  option_->required();
  return *this;
}

Flag& Flag::repeatable() {
  repeatable_ = true;
  return *this;
}

Flag& Flag::group(const std::string& heading) {
  option_->group(heading);
  return *this;
}

void Flag::apply() const {
  const std::vector<std::string>& values = option_->results();
  if (values.size() > 1 && !repeatable_)
    throw UsageError("[{}] is given {} times; keep one", name_, values.size());
  try {
    for (const std::string& value : values) take_(name_, value);
  } catch (const Error& e) {
    throw UsageError(e.what());
  }
}

Command& Command::add_command(const std::string& name, const std::string& help) {
  CLI::App* app = app_->add_subcommand(name, help);
  app->allow_extras();  // and refused by refuse_unknown(), which knows what was meant
  app_->require_subcommand(0, 1);
  commands_.push_back(std::unique_ptr<Command>(new Command(app, path_ + " " + name)));
  return *commands_.back();
}

void Command::note(const std::string& text) {
  app_->footer(text);
}

bool Command::given(const std::string& name) const {
  return std::any_of(flags_.begin(), flags_.end(), [&](const auto& flag) {
    return flag->name_ == name && (flag->set_ || flag->option_->count() > 0);
  });
}

void Command::set(const std::string& name, const std::vector<std::string>& values, bool list) {
  std::vector<std::string> known;
  for (const auto& flag : flags_) {
    known.push_back(flag->name_);
    if (flag->name_ != name) continue;
    if (list && !flag->repeatable_) throw Error("[{}] takes one value, and found a list", name);
    if (flag->option_->count() > 0) return;
    for (const std::string& value : values) flag->take_(name, value);
    flag->set_ = true;
    return;
  }
  throw Error("there is no flag {}{}", shortened(name), did_you_mean(name, known));
}

Flag& Command::add(const std::string& names, const std::string& type, Flag::Take take,
                   const std::string& help) {
  // Without its own variable CLI11 keeps the texts, and nothing of ours runs while it parses.
  CLI::Option* option = app_->add_option(
      names, [](const CLI::results_t&) { return true; }, help);
  option->type_name(type)->expected(1)->allow_extra_args(false)->multi_option_policy(
      CLI::MultiOptionPolicy::TakeAll);
  const size_t comma = names.rfind(',');
  flags_.push_back(std::unique_ptr<Flag>(
      new Flag(option, comma == std::string::npos ? names : names.substr(comma + 1), std::move(take))));
  return *flags_.back();
}

Flag& Command::text(const std::string& names, std::string& value, const std::string& help,
                    const std::string& type) {
  return add(
      names, type, [&value](const std::string&, const std::string& text) { value = text; }, help);
}

Flag& Command::texts(const std::string& names, std::vector<std::string>& values, const std::string& help) {
  return add(
             names, "TEXT",
             [&values](const std::string&, const std::string& text) { values.push_back(text); }, help)
      .repeatable();
}

int64_t Command::parse_integer(const std::string& name, const std::string& text, int64_t least,
                               int64_t most) {
  try {
    return api::parse_integer(text, least, most);
  } catch (const Error& e) {
    throw Error("[{}] {}", name, e.what());
  }
}

Flag& Command::integers(const std::string& names, std::vector<int64_t>& values, int64_t least, int64_t most,
                        const std::string& help) {
  return add(
      names, "INT,...",
      [&values, least, most](const std::string& name, const std::string& text) {
        values = parse_integers(name, text, least, most);
      },
      help);
}

Flag& Command::number(const std::string& names, double& value, double least, double most,
                      const std::string& help) {
  return add(
      names, "NUMBER",
      [&value, least, most](const std::string& name, const std::string& text) {
        try {
          value = api::parse_real(text);
        } catch (const Error& e) {
          throw Error("[{}] {}", name, e.what());
        }
        if (value < least || value > most)
          throw Error("[{}] is '{}', expected a number from {} to {}", name, shortened(text), least, most);
      },
      help);
}

Flag& Command::size(const std::string& names, size_t& bytes, const std::string& help) {
  return add(
      names, "SIZE",
      [&bytes](const std::string& name, const std::string& text) {
        try {
          bytes = api::parse_size(text);
        } catch (const Error& e) {
          throw Error("[{}] {}", name, e.what());
        }
      },
      help);
}

Flag& Command::choice(const std::string& names, std::string& value, std::vector<std::string> choices,
                      const std::string& help) {
  const std::string type = fmt::format("{}", fmt::join(choices, "|"));
  return add(
      names, type,
      [&value, choices = std::move(choices)](const std::string& name, const std::string& text) {
        require_choice(name, text, choices);
        value = text;
      },
      help);
}

Flag& Command::on_off(const std::string& names, std::function<void(bool)> take, const std::string& help,
                      bool negated) {
  CLI::Option* option = app_->add_flag(negated ? names + ",!--no-" + names.substr(2) : names, help)
                            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  flags_.push_back(std::unique_ptr<Flag>(
      new Flag(option, names, [take = std::move(take)](const std::string& name, const std::string& text) {
        require_choice(name, text, {"true", "false"});
        take(text == "true");
      })));
  return *flags_.back();
}

Flag& Command::on_off(const std::string& names, bool& value, const std::string& help) {
  return on_off(
      names, [&value](bool on) { value = on; }, help);
}

void Command::absent(std::string why) {
  absent_ = std::move(why);
  run_ = [this]() -> int { throw Error("{}", absent_); };
}

CommandLine::CommandLine(const std::string& name, const std::string& help, const std::string& version)
    : app_(std::make_unique<CLI::App>(help, name)), program_(new Command(app_.get(), name)) {
  app_->set_version_flag("--version", version);
  app_->allow_extras();
}

CommandLine::~CommandLine() = default;

Command& CommandLine::parsed_command() const {
  Command* command = program_.get();
  for (bool deeper = true; deeper;) {
    deeper = false;
    for (const std::unique_ptr<Command>& next : command->commands_)
      if (next->app_->parsed()) {
        command = next.get();
        deeper = true;
        break;
      }
  }
  return *command;
}

void CommandLine::refuse_unknown(const std::vector<std::string>& unknown) const {
  const Command& command = parsed_command();
  if (!command.absent_.empty()) throw Error("{}", command.absent_);  // its flags are as absent
  const std::string& word = unknown.front();
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> known;
  if (word.starts_with("-")) {
    for (const CLI::Option* option : command.app_->get_options())
      for (const std::string& flag : option->get_lnames()) known.push_back("--" + flag);
    const std::string hint = did_you_mean(name, known);
    throw UsageError("[{}] has no flag {}{}", command.path_, shortened(name),
                     hint.empty() ? fmt::format("; {} --help lists its flags", command.path_) : hint);
  }
  for (const std::unique_ptr<Command>& next : command.commands_) known.push_back(next->app_->get_name());
  if (known.empty())
    throw UsageError("[{}] does not expect '{}'; values follow a flag, and {} --help lists the flags",
                     command.path_, shortened(word), command.path_);
  throw UsageError("[{}] has no command '{}'{}; the commands are {}", command.path_, shortened(word),
                   did_you_mean(word, known), fmt::join(known, ", "));
}

// "--name=" is an empty value; CLI11 would take the next argument for it.
std::vector<std::string> CommandLine::split_empty_values(int argc, const char* const* argv) const {
  const auto takes_value = [](const auto& self, const Command& command, const std::string& name) -> bool {
    for (const std::unique_ptr<Flag>& flag : command.flags_)
      if (flag->name_ == name && flag->option_->get_items_expected_max() > 0) return true;
    for (const std::unique_ptr<Command>& next : command.commands_)
      if (self(self, *next, name)) return true;
    return false;
  };
  std::vector<std::string> arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string name = argument.substr(0, argument.find('='));
    if (name.size() + 1 == argument.size() && takes_value(takes_value, *program_, name)) {
      arguments.push_back(name);
      arguments.emplace_back();
    } else {
      arguments.push_back(argument);
    }
  }
  return arguments;
}

void CommandLine::parse(std::vector<std::string> arguments) {
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes a vector from its back
  try {
    app_->parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    answer_ = app_->help();
    return;
  } catch (const CLI::CallForVersion& e) {
    answer_ = e.what() + std::string("\n");
    return;
  } catch (const CLI::RequiredError& e) {
    const std::vector<std::string> unknown = app_->remaining(true);
    if (!unknown.empty()) refuse_unknown(unknown);  // a misspelt --model is also one that is missing
    throw UsageError("[{}] {}", parsed_command().path_, e.what());
  } catch (const CLI::ArgumentMismatch& e) {
    // "--seed: 1 required INT missing": there was nothing left for it.
    const std::string_view what = e.what();
    throw UsageError("[{}] has no value; put one after it", what.substr(0, what.find(':')));
  } catch (const CLI::ParseError& e) {
    throw UsageError("[{}] {}", parsed_command().path_, e.what());
  }
  if (const std::vector<std::string> unknown = app_->remaining(true); !unknown.empty())
    refuse_unknown(unknown);
}

int CommandLine::run(int argc, const char* const* argv) {
  parse(split_empty_values(argc, argv));
  if (!answer_.empty()) {
    TextOutput::standard().write(answer_);
    return 0;
  }
  const Command& command = parsed_command();
  if (!command.run_) {
    std::vector<std::string> known;
    for (const std::unique_ptr<Command>& next : command.commands_) known.push_back(next->app_->get_name());
    throw UsageError("[{}] needs a command: {}; {} --help says what they do", command.path_,
                     fmt::join(known, ", "), command.path_);
  }
  for (const std::unique_ptr<Flag>& flag : command.flags_) flag->apply();
  try {
    for (const std::function<void()>& check : command.checks_) check();
  } catch (const Error& e) {
    throw UsageError(e.what());
  }
  return command.run_();
}

}  // namespace reprise::cli
