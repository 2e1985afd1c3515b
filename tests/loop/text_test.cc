// Programs as text: what is printed parses to the same, and what is no program is refused with its line.
#include "loop/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "loop/builder.h"

namespace reprise::loop {
namespace {

std::string sample() {
  Builder builder("sample", 77);
  const Value x = builder.read("x", DType::bf16, Place::row),
              w = builder.read("w", DType::f32, Place::column);
  const Value y = select_less(x, w, copysign(tanh(x), w), fma(erf(x), max(x, w), min(abs(x), negate(w))));
  const Value top = largest(round(exp(y), DType::bf16));
  builder.write("y", DType::bf16, (y - top) / sqrt(sum_of_products(y, x) + sum(y) + builder.constant(-0.0f)));
  return print(builder.finish());
}

std::string refusal(std::string_view text) {
  try {
    static_cast<void>(parse(text));
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing";
}

TEST(LoopText, ParsesToWhatWasPrinted) {
  const std::string text = sample();
  EXPECT_EQ(print(parse(text)), text);
}

// Every cut and every changed byte is a program or an Error, and a program prints and parses again.
TEST(LoopText, DamagedTextIsRefusedOrAnotherProgram) {
  const std::string text = sample();
  int programs = 0;
  const auto attempt = [&](const std::string& damaged) {
    try {
      const std::string printed = print(parse(damaged));
      EXPECT_EQ(print(parse(printed)), printed);
      ++programs;
    } catch (const Error&) {
    }
  };
  for (size_t i = 0; i < text.size(); ++i) {
    attempt(text.substr(0, i));
    for (const char c : {'\0', '\n', ' ', '%', '0', '9', 'z'}) {
      std::string damaged = text;
      damaged[i] = c;
      attempt(damaged);
    }
  }
  EXPECT_GT(programs, 10);  // other constants, other values, other names
}

TEST(LoopText, SaysWhatIsWrongAndWhere) {
  const std::string head = "loop l columns 8\nx float32 row\ny float32 row written\n";
  EXPECT_THAT(refusal(""), testing::HasSubstr("line 0: expected loop"));
  EXPECT_THAT(refusal("loop l columns 0\ny float32 row written\nlanes\n"), testing::HasSubstr("0 columns"));
  EXPECT_THAT(refusal("loop l columns 99999999999999999999\n"), testing::HasSubstr("is no number"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = load z\n"), testing::HasSubstr("line 5: there is no operand 'z'"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = lod x\n"), testing::HasSubstr("no operation 'lod'"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = load x\n%1 = add %0 %1\nstore y %1\n"),
              testing::HasSubstr("value 1 is not before it"));
  EXPECT_THAT(refusal(head + "numbers\n%0 = load x\n"), testing::HasSubstr("lanes in a section of numbers"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = load x\n%1 = sum %0\n%2 = add %0 %1\nstore y %2\n"),
              testing::HasSubstr("complete after this section only"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = load x\nlanes\nstore y %0\n"),
              testing::HasSubstr("lanes of a section before"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = load y\nstore y %0\n"), testing::HasSubstr("is not stored"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = load x\nstore y %0\nstore y %0\n"),
              testing::HasSubstr("read only, or stored before"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = load x\nstore x %0\n"), testing::HasSubstr("read only"));
  EXPECT_THAT(refusal(head + "lanes\n%0 = load x\n"), testing::HasSubstr("'y' is never stored"));
  EXPECT_THAT(
      refusal("loop l columns 16777216\nx float32 row\ny float32 row written\na float32 local written\n"
              "lanes\n%0 = load x\nstore y %0\nstore a %0\n"),
      testing::HasSubstr("1 locals of 16777216 columns"));
}

}  // namespace
}  // namespace reprise::loop
