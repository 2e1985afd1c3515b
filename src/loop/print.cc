#include <bit>

#include "core/error.h"
#include "loop/text.h"

namespace reprise::loop {
namespace {

std::string_view name_of_place(Place place) {
  return place == Place::row ? "row" : place == Place::column ? "column" : "local";
}

}  // namespace

std::string print(const Program& program) {
  std::string text = fmt::format("loop {} columns {}\n", program.name, program.columns);
  for (const Operand& operand : program.operands)
    text += fmt::format("{} {} {}{}\n", operand.name, name_of(operand.dtype), name_of_place(operand.place),
                        operand.written ? " written" : "");
  for (const Section& section : program.sections) {
    text += section.lanes ? "lanes\n" : "numbers\n";
    for (int32_t i = section.begin; i < section.end; ++i) {
      const Instruction& instruction = program.instructions[static_cast<size_t>(i)];
      const CodeInfo& info = info_of(instruction.code);
      if (instruction.code != Code::store) text += fmt::format("%{} = ", i);
      text += info.name;
      if (instruction.operand >= 0)
        text += fmt::format(" {}", program.operands[static_cast<size_t>(instruction.operand)].name);
      for (int a = 0; a < info.args; ++a)
        text += fmt::format(" %{}", instruction.args[static_cast<size_t>(a)]);
      if (instruction.code == Code::constant)
        text += fmt::format(" {:08x}", std::bit_cast<uint32_t>(instruction.number));
      if (instruction.code == Code::round) text += fmt::format(" {}", name_of(instruction.dtype));
      text += '\n';
    }
  }
  return text;
}

}  // namespace reprise::loop
