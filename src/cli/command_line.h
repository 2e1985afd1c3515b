// Commands, their flags, and what is said when one is used wrongly. The parsing itself is CLI11's, which only
// command_line.cc includes: its headers take longer to compile than all commands together.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace reprise::cli {

// The command line itself is wrong, whatever the model and the machine: main() says it and exits with 2.
class UsageError : public Error {
 public:
  using Error::Error;
};

// A flag of a command, as Command's functions return it.
class Flag {
 public:
  // Gets what was typed after the flag `name`. Throws Error "[name] is 'x', expected ..." on a wrong value.
  using Take = std::function<void(const std::string& name, const std::string& value)>;

  Flag& required();
  // May be given several times; `take` is then called once for each. Any other flag is refused when repeated.
  Flag& repeatable();
  Flag& group(const std::string& heading);  // in the help

 private:
  friend class Command;
  friend class CommandLine;
  Flag(CLI::Option* option, std::string name, Take take)
      : option_(option), name_(std::move(name)), take_(std::move(take)) {}
  void apply() const;  // throws UsageError

  CLI::Option* option_;
  std::string name_;
  Take take_;
  bool repeatable_ = false;
  bool set_ = false;  // by Command::set()
};

// A command with its flags. Variables that are given by reference must live as long as the command; they get
// their values when the command line is parsed.
class Command {
 public:
  Command& add_command(const std::string& name, const std::string& help);
  // What runs the command; returns the exit code. A command that has commands of its own has no action.
  void action(std::function<int()> run) { run_ = std::move(run); }
  // For a command that this build lacks: whatever follows it on the command line, Error `why` is thrown.
  void absent(std::string why);
  // Called after all flags have their values and before the action; an Error that it throws is wrong usage.
  void check(std::function<void()> check) { checks_.push_back(std::move(check)); }

  // Whether that flag ("--seed") is on the command line or came by set().
  bool given(const std::string& name) const;

  // As though these stood after that flag on the command line, unless it is there: that wins. For checks. `list`: they
  // were written as a list, which only a flag that may be repeated takes. Throws Error on a flag that there is not, with
  // the nearest one.
  void set(const std::string& name, const std::vector<std::string>& values, bool list);

  // A paragraph below the help.
  void note(const std::string& text);

  // The general form. `names`: "--seed", or "-o,--output"; `type` is shown in the help: "INT", "TEXT".
  Flag& add(const std::string& names, const std::string& type, Flag::Take take, const std::string& help);

  Flag& text(const std::string& names, std::string& value, const std::string& help,
             const std::string& type = "TEXT");
  Flag& texts(const std::string& names, std::vector<std::string>& values, const std::string& help);
  // An integer in [least, most].
  template <std::integral T>
  Flag& integer(const std::string& names, T& value, int64_t least, int64_t most, const std::string& help) {
    return add(
        names, "INT",
        [&value, least, most](const std::string& name, const std::string& text) {
          value = static_cast<T>(parse_integer(name, text, least, most));
        },
        help);
  }
  // Integers in [least, most], "1,2,3", at least one.
  Flag& integers(const std::string& names, std::vector<int64_t>& values, int64_t least, int64_t most,
                 const std::string& help);
  // A number in [least, most].
  Flag& number(const std::string& names, double& value, double least, double most, const std::string& help);
  // Bytes, "16GiB".
  Flag& size(const std::string& names, size_t& bytes, const std::string& help);
  // One of `choices`; the help lists them.
  Flag& choice(const std::string& names, std::string& value, std::vector<std::string> choices,
               const std::string& help);
  // "--json", "--json=false". With `negated`, "--no-json" says the same as "--json=false".
  Flag& on_off(const std::string& names, std::function<void(bool)> take, const std::string& help,
               bool negated = false);
  Flag& on_off(const std::string& names, bool& value, const std::string& help);

 private:
  friend class CommandLine;
  Command(CLI::App* app, std::string path) : app_(app), path_(std::move(path)) {}
  static int64_t parse_integer(const std::string& name, const std::string& text, int64_t least, int64_t most);

  CLI::App* app_;
  std::string path_;  // "reprise bench latency"
  std::vector<std::unique_ptr<Flag>> flags_;
  std::vector<std::unique_ptr<Command>> commands_;
  std::vector<std::function<void()>> checks_;
  std::function<int()> run_;
  std::string absent_;  // why; empty where the command is there
};

class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& help, const std::string& version);
  ~CommandLine();
  Command& program() { return *program_; }

  // Parses, runs the command, and returns its exit code. Help and the version go to standard output. Throws
  // UsageError, and what the command throws.
  int run(int argc, const char* const* argv);

 private:
  Command& parsed_command() const;
  std::vector<std::string> split_empty_values(int argc, const char* const* argv) const;
  void parse(std::vector<std::string> arguments);
  [[noreturn]] void refuse_unknown(const std::vector<std::string>& unknown) const;

  std::unique_ptr<CLI::App> app_;
  std::unique_ptr<Command> program_;
  std::string answer_;  // of --help or --version
};

// What was typed, for a message: the beginning of a long text.
std::string shortened(std::string_view text);

// Integers between commas, "1,2,3", each in [least, most]. Throws Error that names `flag`.
std::vector<int64_t> parse_integers(const std::string& flag, std::string_view text, int64_t least,
                                    int64_t most);

// Throws Error "[flag] is 'x', did you mean 'y'? expected a, b or c" unless `value` is one of `choices`.
void require_choice(const std::string& flag, const std::string& value,
                    const std::vector<std::string>& choices);

}  // namespace reprise::cli
