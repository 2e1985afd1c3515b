// What the builder makes of expressions: sections, locals, slots; and what it refuses.
#include "loop/builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "loop/text.h"

namespace reprise::loop {
namespace {

TEST(LoopBuilder, AnExpressionIsOneLoop) {
  Builder builder("scaled", 40);
  const Value x = builder.read("x", DType::bf16, Place::row),
              w = builder.read("w", DType::f32, Place::column);
  builder.write("y", DType::bf16, x * w + x * w);
  EXPECT_EQ(print(builder.finish()),
            "loop scaled columns 40\n"
            "x bfloat16 row\n"
            "w float32 column\n"
            "y bfloat16 row written\n"
            "lanes\n"
            "%0 = load x\n"
            "%1 = load w\n"
            "%2 = multiply %0 %1\n"
            "%3 = add %2 %2\n"
            "store y %3\n");
}

// x - mean is needed by the second loop and the third: it is kept in memory. x itself is read again.
TEST(LoopBuilder, ReductionsDivideLoops) {
  Builder builder("centred", 40);
  const Value x = builder.read("x", DType::f32, Place::row);
  const Value centred = x - sum(x) / builder.constant(40);
  builder.write("y", DType::f32, centred / sqrt(sum_of_products(centred, centred)));
  const Program program = builder.finish();
  EXPECT_EQ(print(program),
            "loop centred columns 40\n"
            "x float32 row\n"
            "y float32 row written\n"
            "local2 float32 local written\n"
            "lanes\n"
            "%0 = load x\n"
            "%1 = sum %0\n"
            "numbers\n"
            "%2 = constant 42200000\n"
            "%3 = divide %1 %2\n"
            "lanes\n"
            "%4 = load x\n"
            "%5 = subtract %4 %3\n"
            "%6 = sum_of_products %5 %5\n"
            "store local2 %5\n"
            "numbers\n"
            "%8 = sqrt %6\n"
            "lanes\n"
            "%9 = load local2\n"
            "%10 = divide %9 %8\n"
            "store y %10\n");
  EXPECT_EQ(program.buffers(), 2);
  EXPECT_EQ(program.items_of_row(), 1);
  EXPECT_TRUE(program.may_share(1, 0));
}

// What an output holds exactly is read from there.
TEST(LoopBuilder, AnOutputServesAsMemory) {
  Builder builder("normed", 40);
  const Value x = builder.read("x", DType::bf16, Place::row), s = round(x + x, DType::bf16);
  builder.write("s", DType::bf16, s);
  builder.write("y", DType::bf16, s * sum(s));
  EXPECT_EQ(print(builder.finish()),
            "loop normed columns 40\n"
            "x bfloat16 row\n"
            "s bfloat16 row written\n"
            "y bfloat16 row written\n"
            "lanes\n"
            "%0 = load x\n"
            "%1 = add %0 %0\n"
            "%2 = round %1 bfloat16\n"
            "%3 = sum %2\n"
            "store s %2\n"
            "lanes\n"
            "%5 = load s\n"
            "%6 = multiply %5 %3\n"
            "store y %6\n");
}

TEST(LoopBuilder, RowsWithoutReductionsAreCut) {
  Builder builder("twice", 5000);
  const Value x = builder.read("x", DType::f32, Place::row);
  builder.write("y", DType::f32, x + x);
  EXPECT_EQ(builder.finish().items_of_row(), 5);
}

// The first output is written in the first loop; x is read again in the second, so only the other may take its
// place.
TEST(LoopBuilder, AnOutputTakesThePlaceOfAnInputThatIsReadBefore) {
  Builder builder("both", 16);
  const Value x = builder.read("x", DType::f32, Place::row), b = builder.read("b", DType::bf16, Place::row),
              w = builder.read("w", DType::f32, Place::column);
  builder.write("early", DType::f32, x + b);
  builder.write("late", DType::f32, x * sum(x) * w);
  const Program program = builder.finish();
  EXPECT_FALSE(program.may_share(3, 0));
  EXPECT_FALSE(program.may_share(3, 1));  // of another size
  EXPECT_TRUE(program.may_share(4, 0));
  EXPECT_FALSE(program.may_share(4, 2));  // the same for every row
}

TEST(LoopBuilder, SlotsAreUsedAgain) {
  Builder builder("chain", 16);
  Value x = builder.read("x", DType::f32, Place::row);
  for (int i = 0; i < 100; ++i) x = exp(x);
  builder.write("y", DType::f32, x);
  EXPECT_EQ(builder.finish().slot_count, 1);
}

TEST(LoopBuilder, RefusesWhatIsNoProgram) {
  const auto message = [](const auto& write) {
    try {
      Builder builder("bad", 16);
      write(builder);
      static_cast<void>(builder.finish());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_THAT(message([](Builder&) {}), testing::HasSubstr("none is written"));
  EXPECT_THAT(message([](Builder& b) { b.write("y", DType::f32, sum(b.constant(1))); }),
              testing::HasSubstr("sum of a number"));
  EXPECT_THAT(message([](Builder& b) { b.write("a b", DType::f32, b.constant(1)); }),
              testing::HasSubstr("'a b' is no name"));
  EXPECT_THAT(message([](Builder& b) {
                const Value x = b.read("x", DType::f32, Place::row);
                b.write("x", DType::f32, x);
              }),
              testing::HasSubstr("two operands 'x'"));
  EXPECT_THAT(message([](Builder& b) {
                for (int i = 0; i < 16; ++i) b.write("y" + std::to_string(i), DType::f32, b.constant(1));
              }),
              testing::HasSubstr("16 buffers"));
  EXPECT_THAT(message([](Builder& b) {
                Value x = b.read("x", DType::f32, Place::row);
                for (int i = 0; i < 5000; ++i) x = x + b.constant(static_cast<float>(i));
                b.write("y", DType::f32, x);
              }),
              testing::HasSubstr("more than 4096 operations"));
}

}  // namespace
}  // namespace reprise::loop
