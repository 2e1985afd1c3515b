// Writes a program: values with operators, in the order of the data flow. Which section each instruction
// stands in, and what goes through memory between sections, is found by finish().
#pragma once

#include <cstdint>
#include <string>

#include "loop/program.h"

namespace reprise::loop {

class Builder;

// A value of the program that `builder` writes. Copies are the same value.
struct Value {
  Builder* builder = nullptr;
  int32_t id = -1;
};

Value operator+(Value a, Value b);
Value operator-(Value a, Value b);
Value operator*(Value a, Value b);
Value operator/(Value a, Value b);
Value fma(Value a, Value b, Value c);
Value min(Value a, Value b);  // b where equal or one is NaN
Value max(Value a, Value b);
Value sqrt(Value a);
Value negate(Value a);
Value abs(Value a);
Value copysign(Value size, Value sign);
Value select_less(Value a, Value b, Value c, Value d);  // a < b ? c : d
Value exp(Value a);
Value erf(Value a);
Value tanh(Value a);
Value round(Value a, DType dtype);  // a itself for f32
// Over the columns of a row.
Value sum(Value a);
Value sum_of_products(Value a, Value b);
Value largest(Value a);
// A constant in the same program.
Value like(Value of, float number);

class Builder {
 public:
  Builder(std::string name, int64_t columns);

  int64_t columns() const { return program_.columns; }
  // Operands are the buffers of a launch, in this order. Reads are widened to f32.
  Value read(std::string name, DType dtype, Place place);
  void write(std::string name, DType dtype, Value value);
  Value constant(float number);
  // Equal instructions are one.
  Value add(Instruction instruction);

  // The program, verified. Throws what verify() throws. The builder is empty after.
  Program finish();

 private:
  Program program_;  // without sections: instructions in the order of their calls
};

}  // namespace reprise::loop
