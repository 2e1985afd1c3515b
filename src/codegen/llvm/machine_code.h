// From an LLVM module to machine code with exactly the module's floating-point operations.
//
// Kernels run with denormals flushed to zero (FTZ and DAZ), and their bits are a contract, so LLVM may do
// nothing that is right for most programs and another value for a denormal, a -0 or a NaN. What runs:
//  - no middle end but mem2reg: InstCombine, InstSimplify and EarlyCSE fold arithmetic with constants, also
//    with those loaded from constant globals (x * 1.0 is x: not so for a denormal under DAZ). Loads marked
//    !invariant.load leave loops by MachineLICM;
//  - instruction selection at O3 without any fast-math option. It folds too, and no option turns that off.
//    What it does to a denormal or a NaN was looked at (LLVM 19.1.7, by the tests here), and check_module()
//    refuses it:
//      * x * 1.0, x / 1.0, x + -0.0, x - 0.0 become x, and operations on two constants are computed.
//        Arithmetic may have no literal operand. A constant loaded from a constant global is not seen
//        through.
//      * select(fcmp olt/ogt a, b; a; b) and its like become minps and maxps, which give 0 for a denormal
//        where the select gives the denormal itself, or a where a and b are seen to be equal. So minps and
//        maxps are called by their names, and a choice between floats is a select between integers of the
//        same bits, which stays a blend.
//      * a + (-b) becomes a - b, fma(-a, b, c) vfnmadd, (-a) * (-b) a * b: another sign of a NaN. The operand
//        of arithmetic may be no negation, neither fneg nor an xor with a literal; a mask that was loaded is
//        fine.
//      * fptrunc(fpext x) becomes x: the types of arithmetic are float and double, and neither is converted.
//  - Which of two NaNs a sum or product gives depends on the order of its operands, which codegen may
//    exchange (gcc does so as well). So payload and sign of a NaN that met another NaN are no part of the
//    contract.
#pragma once

#include <llvm/IR/Module.h>

#include <string>

#include "codegen/compiler_protocol.h"
#include "core/isa.h"

namespace reprise::codegen {

// Throws Error, naming function and instruction, at anything but operations whose bits are known: fast-math
// flags and attributes, the forms above, calls but to functions of the module and a few intrinsics, variables
// and functions from outside, inline assembly, volatile and atomic accesses.
void check_module(const llvm::Module& module);

// Machine code of a level that this CPU need not have (not scalar), or a text that shows it. Sets the
// module's target and its functions' attributes, checks the module before and the object after code
// generation. Throws Error.
std::string machine_code(llvm::Module& module, Isa level, Output output);

// "llvm 19.1.7": of the library that is loaded, not of the headers.
std::string llvm_name();

}  // namespace reprise::codegen
