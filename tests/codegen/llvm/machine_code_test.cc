#include "codegen/llvm/machine_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llvm/AsmParser/Parser.h>
#include <llvm/Support/SourceMgr.h>
#include <xmmintrin.h>

#include <bit>
#include <cmath>
#include <functional>
#include <random>

#include "codegen/object_code.h"
#include "core/error.h"

namespace reprise::codegen {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string compiled(const std::string& text, Isa level, Output output = Output::object) {
  llvm::LLVMContext context;
  llvm::SMDiagnostic problem;
  const std::unique_ptr<llvm::Module> module = llvm::parseAssemblyString(text, problem, context);
  if (!module) throw Error("line {}: {}", problem.getLineNo(), problem.getMessage().str());
  return machine_code(*module, level, output);
}

ObjectCode loaded(const std::string& text, Isa level) {
  const std::string object = compiled(text, level);
  return ObjectCode::load(std::as_bytes(std::span(object)));
}

// A loop over n elements, 16 lanes at a time with a masked tail: `body` makes %r of %x, %y and %z.
std::string lane_loop(const std::string& body) {
  return R"(
@ones = internal constant [4 x float] [float 1.0, float -0.0, float 0.0, float 2.0]
@lanes = internal constant <16 x i32> <i32 0, i32 1, i32 2, i32 3, i32 4, i32 5, i32 6, i32 7,
                                       i32 8, i32 9, i32 10, i32 11, i32 12, i32 13, i32 14, i32 15>
define void @f(ptr %out, ptr %a, ptr %b, ptr %c, i64 %n) {
entry:
  %lanes = load <16 x i32>, ptr @lanes, !invariant.load !0
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %left = sub i64 %n, %i
  %more = icmp sgt i64 %left, 0
  br i1 %more, label %body, label %end
body:
  %left32 = trunc i64 %left to i32
  %first = insertelement <16 x i32> poison, i32 %left32, i64 0
  %all = shufflevector <16 x i32> %first, <16 x i32> poison, <16 x i32> zeroinitializer
  %mask = icmp slt <16 x i32> %lanes, %all
  %pa = getelementptr float, ptr %a, i64 %i
  %pb = getelementptr float, ptr %b, i64 %i
  %pc = getelementptr float, ptr %c, i64 %i
  %po = getelementptr float, ptr %out, i64 %i
  %x = call <16 x float> @llvm.masked.load.v16f32.p0(
         ptr %pa, i32 4, <16 x i1> %mask, <16 x float> zeroinitializer)
  %y = call <16 x float> @llvm.masked.load.v16f32.p0(
         ptr %pb, i32 4, <16 x i1> %mask, <16 x float> zeroinitializer)
  %z = call <16 x float> @llvm.masked.load.v16f32.p0(
         ptr %pc, i32 4, <16 x i1> %mask, <16 x float> zeroinitializer)
)" + body +
         R"(
  call void @llvm.masked.store.v16f32.p0(<16 x float> %r, ptr %po, i32 4, <16 x i1> %mask)
  %next = add i64 %i, 16
  br label %head
end:
  ret void
}
!0 = !{}
)";
}

// %NAME: all lanes hold ones[index], as the emitter loads its constants.
std::string constant(const std::string& name, int index) {
  return fmt::format(R"(
  %{0}p = getelementptr float, ptr @ones, i64 {1}
  %{0}s = load float, ptr %{0}p, !invariant.load !0
  %{0}i = insertelement <16 x float> poison, float %{0}s, i64 0
  %{0} = shufflevector <16 x float> %{0}i, <16 x float> poison, <16 x i32> zeroinitializer
)",
                     name, index);
}

// Denormals count as zero, as around every kernel.
class FlushDenormals {
 public:
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before_); }
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned before_;
};

using Plain = std::function<float(float, float, float)>;

bool has(Isa level) {
  switch (level) {
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case Isa::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
    case Isa::avx512_bf16:
    case Isa::amx:
      return __builtin_cpu_supports("avx512bf16");  // the code of amx has no tiles
  }
  return false;
}

class MachineCode : public ::testing::TestWithParam<Isa> {
 protected:
  // Compares with `plain`, bit by bit, on every kind of number. Of two and more NaNs either may be the
  // result.
  static void expect_same(const std::string& body, const Plain& plain) {
    const ObjectCode code = loaded(lane_loop(body), GetParam());
    if (!has(GetParam())) GTEST_SKIP() << "this CPU lacks " << name_of(GetParam());
    constexpr size_t kCount = 40'003;
    std::mt19937 random(1);
    const auto number = [&]() -> float {
      constexpr uint32_t kSpecial[] = {0,          0x80000000, 1,          0x80000001, 0x007fffff, 0x00800000,
                                       0x7f800000, 0xff800000, 0x7fc00001, 0xffc12345, 0x7f800001, 0x3f800000,
                                       0xbf800000, 0x7f7fffff, 0x3f7f8000, 0x3f818000};
      const uint32_t draw = static_cast<uint32_t>(random());
      if (draw % 4 == 0) return std::bit_cast<float>(kSpecial[draw / 4 % std::size(kSpecial)]);
      if (draw % 4 == 1) return std::bit_cast<float>(static_cast<uint32_t>(random()));
      return static_cast<float>(static_cast<int32_t>(random())) * 0x1p-28F;
    };
    std::vector<float> a(kCount), b(kCount), c(kCount);
    for (std::vector<float>* all : {&a, &b, &c})
      for (float& value : *all) value = number();
    constexpr float kUntouched = 12345;
    std::vector<float> out(kCount + 16, kUntouched);
    std::vector<float> expected(kCount);
    {
      const FlushDenormals flush;
      reinterpret_cast<void (*)(float*, const float*, const float*, const float*, int64_t)>(
          code.function("f"))(out.data(), a.data(), b.data(), c.data(), kCount);
      for (size_t i = 0; i < kCount; ++i) expected[i] = plain(a[i], b[i], c[i]);
    }
    for (size_t i = 0; i < kCount; ++i) {
      if (std::isnan(a[i]) + std::isnan(b[i]) + std::isnan(c[i]) > 1 && std::isnan(expected[i]) &&
          std::isnan(out[i]))
        continue;
      ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(expected[i]))
          << i << ": "
          << fmt::format("{:08x} {:08x} {:08x}", std::bit_cast<uint32_t>(a[i]), std::bit_cast<uint32_t>(b[i]),
                         std::bit_cast<uint32_t>(c[i]));
    }
    for (size_t i = kCount; i < out.size(); ++i) ASSERT_EQ(out[i], kUntouched) << "the tail's mask, " << i;
  }
};

INSTANTIATE_TEST_SUITE_P(Levels, MachineCode,
                         ::testing::Values(Isa::avx2, Isa::avx512, Isa::avx512_bf16, Isa::amx),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(MachineCode, Add) {
  expect_same("%r = fadd <16 x float> %x, %y", [](float x, float y, float) { return x + y; });
}
TEST_P(MachineCode, MultiplyThenSubtractIsNotContracted) {
  expect_same("%p = fmul <16 x float> %x, %y\n %r = fsub <16 x float> %p, %z", [](float x, float y, float z) {
    const float product = x * y;
    return product - z;
  });
}
TEST_P(MachineCode, Divide) {
  expect_same("%r = fdiv <16 x float> %x, %y", [](float x, float y, float) { return x / y; });
}
TEST_P(MachineCode, DivideByALoadedConstant) {
  expect_same(constant("two", 3) + "%r = fdiv <16 x float> %x, %two",
              [](float x, float, float) { return x / 2; });
}
TEST_P(MachineCode, Fma) {
  expect_same("%r = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %y, <16 x float> %z)",
              [](float x, float y, float z) { return std::fma(x, y, z); });
}
TEST_P(MachineCode, SquareRoot) {
  expect_same("%r = call <16 x float> @llvm.sqrt.v16f32(<16 x float> %x)",
              [](float x, float, float) { return _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(x))); });
}
// %TO = min or max of %A and %B, by 8 lanes.
std::string halves(const std::string& what, const std::string& to, const std::string& a,
                   const std::string& b) {
  constexpr const char* kLanes[] = {"i32 0, i32 1, i32 2, i32 3, i32 4, i32 5, i32 6, i32 7",
                                    "i32 8, i32 9, i32 10, i32 11, i32 12, i32 13, i32 14, i32 15"};
  std::string text;
  for (int half = 0; half < 2; ++half) {
    for (const auto& [side, from] : {std::pair{"a", a}, {"b", b}})
      text +=
          fmt::format("%{0}{1}{2} = shufflevector <16 x float> %{3}, <16 x float> poison, <8 x i32> <{4}>\n",
                      to, side, half, from, kLanes[half]);
    text += fmt::format(
        "%{0}{1} = call <8 x float> @llvm.x86.avx.{2}.ps.256(<8 x float> %{0}a{1}, "
        "<8 x float> %{0}b{1})\n",
        to, half, what);
  }
  return text +
         fmt::format("%{0} = shufflevector <8 x float> %{0}0, <8 x float> %{0}1, <16 x i32> <{1}, {2}>\n", to,
                     kLanes[0], kLanes[1]);
}
TEST_P(MachineCode, MinAndMaxAreTheInstructions) {
  expect_same(halves("min", "low", "x", "y") + halves("max", "r", "low", "z"), [](float x, float y, float z) {
    return _mm_cvtss_f32(_mm_max_ss(_mm_min_ss(_mm_set_ss(x), _mm_set_ss(y)), _mm_set_ss(z)));
  });
  // Of the same twice too, where they give 0 for a denormal.
  expect_same(halves("min", "low", "x", "x") + halves("max", "r", "low", "low"), [](float x, float, float) {
    const volatile float same = x;  // or gcc gives x
    return _mm_cvtss_f32(_mm_min_ss(_mm_set_ss(x), _mm_set_ss(same)));
  });
}
TEST_P(MachineCode, AChoiceBetweenIntegersKeepsDenormals) {
  expect_same(R"(%c1 = fcmp olt <16 x float> %x, %y
                 %ix = bitcast <16 x float> %x to <16 x i32>
                 %iy = bitcast <16 x float> %y to <16 x i32>
                 %s = select <16 x i1> %c1, <16 x i32> %ix, <16 x i32> %iy
                 %r = bitcast <16 x i32> %s to <16 x float>)",
              [](float x, float y, float) {
                const volatile bool less = x < y;  // or gcc makes minss of it
                return less ? x : y;
              });
}
// What LLVM folds where it sees the constant: each of these flushes a denormal.
TEST_P(MachineCode, ArithmeticWithLoadedConstantsIsNotFolded) {
  const auto flushed = [](float x) {
    const volatile float one = 1;  // or gcc folds it
    return x * one;
  };
  expect_same(constant("one", 0) + "%r = fmul <16 x float> %x, %one",
              [&](float x, float, float) { return flushed(x); });
  expect_same(constant("one", 0) + "%r = fdiv <16 x float> %x, %one",
              [&](float x, float, float) { return flushed(x); });
  expect_same(constant("nz", 1) + "%r = fadd <16 x float> %x, %nz",
              [&](float x, float, float) { return flushed(x); });
  expect_same(constant("zero", 2) + "%r = fsub <16 x float> %x, %zero",
              [&](float x, float, float) { return flushed(x); });
  expect_same(
      constant("one", 0) +
          "%r = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %one, <16 x float> %y)",
      [](float x, float y, float) { return std::fma(x, 1.0F, y); });
}
TEST_P(MachineCode, RoundToBf16) {
  expect_same(R"(%bits = bitcast <16 x float> %x to <16 x i32>
                 %up = lshr <16 x i32> %bits, splat(i32 16)
                 %odd = and <16 x i32> %up, splat(i32 1)
                 %half = add <16 x i32> %odd, splat(i32 32767)
                 %sum = add <16 x i32> %bits, %half
                 %quiet = or <16 x i32> %bits, splat(i32 4194304)
                 %nan = fcmp uno <16 x float> %x, %x
                 %both = select <16 x i1> %nan, <16 x i32> %quiet, <16 x i32> %sum
                 %high = and <16 x i32> %both, splat(i32 -65536)
                 %r = bitcast <16 x i32> %high to <16 x float>)",
              [](float x, float, float) {
                const uint32_t bits = std::bit_cast<uint32_t>(x);
                const uint32_t sum = std::isnan(x) ? bits | 0x400000 : bits + 0x7fff + (bits >> 16 & 1);
                return std::bit_cast<float>(sum & 0xffff0000);
              });
}

TEST_P(MachineCode, WidensBf16) {
  const ObjectCode code = loaded(R"(
define void @widen(ptr %out, ptr %in) {
  %narrow = load <16 x i16>, ptr %in, align 2
  %wide = zext <16 x i16> %narrow to <16 x i32>
  %bits = shl <16 x i32> %wide, splat(i32 16)
  %value = bitcast <16 x i32> %bits to <16 x float>
  store <16 x float> %value, ptr %out, align 4
  ret void
})",
                                 GetParam());
  if (!has(GetParam())) GTEST_SKIP() << "this CPU lacks " << name_of(GetParam());
  const FlushDenormals flush;
  std::array<uint16_t, 16> in;
  std::array<uint32_t, 16> out;
  for (uint32_t first = 0; first < 1U << 16; first += 16) {
    for (uint32_t i = 0; i < 16; ++i) in[i] = static_cast<uint16_t>(first + i);
    reinterpret_cast<void (*)(void*, const void*)>(code.function("widen"))(out.data(), in.data());
    for (uint32_t i = 0; i < 16; ++i) ASSERT_EQ(out[i], (first + i) << 16);
  }
}

// The order of the additions is the tree of vec.h, whatever horizontal instructions there are.
TEST_P(MachineCode, SumsLanesInTheGivenTree) {
  const ObjectCode code = loaded(R"(
define float @sum(ptr %in) {
  %v = load <16 x float>, ptr %in, align 4
  %l8 = shufflevector <16 x float> %v, <16 x float> poison,
                       <8 x i32> <i32 0, i32 1, i32 2, i32 3, i32 4, i32 5, i32 6, i32 7>
  %h8 = shufflevector <16 x float> %v, <16 x float> poison,
                       <8 x i32> <i32 8, i32 9, i32 10, i32 11, i32 12, i32 13, i32 14, i32 15>
  %s8 = fadd <8 x float> %l8, %h8
  %l4 = shufflevector <8 x float> %s8, <8 x float> poison, <4 x i32> <i32 0, i32 1, i32 2, i32 3>
  %h4 = shufflevector <8 x float> %s8, <8 x float> poison, <4 x i32> <i32 4, i32 5, i32 6, i32 7>
  %s4 = fadd <4 x float> %l4, %h4
  %l2 = shufflevector <4 x float> %s4, <4 x float> poison, <2 x i32> <i32 0, i32 1>
  %h2 = shufflevector <4 x float> %s4, <4 x float> poison, <2 x i32> <i32 2, i32 3>
  %s2 = fadd <2 x float> %l2, %h2
  %l1 = extractelement <2 x float> %s2, i64 0
  %h1 = extractelement <2 x float> %s2, i64 1
  %s1 = fadd float %l1, %h1
  ret float %s1
})",
                                 GetParam());
  if (!has(GetParam())) GTEST_SKIP() << "this CPU lacks " << name_of(GetParam());
  std::mt19937 random(2);
  for (int round = 0; round < 1000; ++round) {
    std::array<float, 16> in;
    for (float& value : in) value = static_cast<float>(static_cast<int32_t>(random())) * 0x1p-20F;
    std::array<float, 16> tree = in;
    for (size_t half = 8; half > 0; half /= 2)
      for (size_t i = 0; i < half; ++i) tree[i] += tree[i + half];
    ASSERT_EQ(reinterpret_cast<float (*)(const float*)>(code.function("sum"))(in.data()), tree[0]);
  }
}

TEST_P(MachineCode, UsesTheLevelsRegistersAndSaysWhatItDoes) {
  const std::string body =
      "%r = call <16 x float> @llvm.fma.v16f32(<16 x float> %x, <16 x float> %y, <16 x float> %z)";
  const std::string assembly = compiled(lane_loop(body), GetParam(), Output::assembly);
  EXPECT_THAT(assembly, HasSubstr("vfmadd"));
  if (GetParam() == Isa::avx2)
    EXPECT_THAT(assembly, Not(HasSubstr("zmm")));
  else
    EXPECT_THAT(assembly, HasSubstr("zmm"));
  const std::string text = compiled(lane_loop(body), GetParam(), Output::llvm_text);
  EXPECT_THAT(text, HasSubstr("define void @f("));
  EXPECT_THAT(text, HasSubstr("\"denormal-fp-math\"=\"preserve-sign,preserve-sign\""));
}

TEST_P(MachineCode, TheSameTextGivesTheSameBytes) {
  const std::string text = lane_loop("%r = fadd <16 x float> %x, %y");
  EXPECT_EQ(compiled(text, GetParam()), compiled(text, GetParam()));
}

void expect_refused(const std::string& text, const std::string& reason) {
  try {
    compiled(text, Isa::avx512);
    ADD_FAILURE() << "not refused; expected: " << reason;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(reason)) << text;
  }
}

std::string function(const std::string& body, const std::string& more = "") {
  return "define float @f(float %x, float %y, float %z, ptr %p, i64 %n) {\n" + body + "\nret float %x\n}\n" +
         more;
}

TEST(MachineCodeRefuses, WhatChangesNumbers) {
  expect_refused(function("%r = fadd fast float %x, %y"),
                 "function f: a fast-math flag: %r = fadd fast float %x, %y");
  expect_refused(function("%r = fmul contract float %x, %y"), "a fast-math flag");
  expect_refused(function("%r = fcmp nnan olt float %x, %y"), "a fast-math flag");
  expect_refused(function("%r = call reassoc float @llvm.fma.f32(float %x, float %y, float %z)"),
                 "a fast-math flag");
  expect_refused(function("%r = call float @llvm.fmuladd.f32(float %x, float %y, float %z)"),
                 "an intrinsic that is not allowed: %r = call float @llvm.fmuladd.f32");
  expect_refused(function("%r = call float @llvm.exp.f32(float %x)"), "an intrinsic that is not allowed");
  expect_refused(function("%r = call float @llvm.maxnum.f32(float %x, float %y)"),
                 "an intrinsic that is not allowed");
  for (const char* relaxed : {"unsafe-fp-math", "no-nans-fp-math", "no-signed-zeros-fp-math"})
    expect_refused(fmt::format("define float @f(float %x) \"{}\"=\"true\" {{\n ret float %x\n}}", relaxed),
                   fmt::format("function f: a fast-math attribute: {}", relaxed));
}

TEST(MachineCodeRefuses, WhatCodeGenerationFolds) {
  expect_refused(function("%r = fmul float %x, 1.0"), "a literal operand, which code generation may fold");
  expect_refused(function("%r = fadd float -0.0, %x"), "a literal operand");
  expect_refused(function("%r = fadd <4 x float> zeroinitializer, splat(float 1.0)"), "a literal operand");
  expect_refused(function("%r = call float @llvm.fma.f32(float %x, float 1.0, float %z)"),
                 "a literal operand");
  expect_refused(function("%r = fadd float %x, poison"), "a literal operand");
  expect_refused(function("%m = fneg float %x\n %r = fadd float %y, %m"), "a negated operand");
  expect_refused(
      function("%i = bitcast float %x to i32\n %s = xor i32 %i, -2147483648\n %m = bitcast i32 %s to float\n"
               "%r = call float @llvm.fma.f32(float %m, float %y, float %z)"),
      "a negated operand");
  expect_refused(function("%c = fcmp olt float %x, %y\n %r = select i1 %c, float %x, float %y"),
                 "a choice between floats by comparing floats");
  expect_refused(function("%d = fpext float %x to double\n %r = fptrunc double %d to float"),
                 "that is not allowed");
  expect_refused(function("%r = fadd bfloat 1.0, 1.0"), "a type that is computed with by other means");
  expect_refused(function("%r = fptrunc float %x to half"), "a type that is computed with by other means");
  expect_refused(function("%r = frem float %x, %y"), "an instruction that is not allowed");
}

TEST(MachineCodeRefuses, WhatLeadsOutOfTheModule) {
  expect_refused(function("%r = call float @expf(float %x)", "declare float @expf(float)"),
                 "a call out of the module");
  expect_refused(function("", "declare float @expf(float)"), "function expf is not in the module");
  expect_refused(function("%r = call float %p(float %x)"), "a call through a pointer");
  expect_refused(function("%r = load float, ptr @v", "@v = external global float"), "variable v");
  expect_refused(function("store float %x, ptr @v", "@v = internal global float 0.0"), "variable v");
  expect_refused(function("%r = load float, ptr @v", "@v = constant float 0.0"), "variable v");
  expect_refused(function("%r = load float, ptr @v", "@v = internal thread_local constant float 0.0"),
                 "variable v");
  expect_refused(function("call void asm sideeffect \"nop\", \"\"()"), "inline assembly");
  expect_refused(function("", "module asm \"nop\""), "the module has inline assembly");
  expect_refused(function("", "@g = alias float (float, float, float, ptr, i64), ptr @f"), "aliases");
  expect_refused(function("call void @llvm.memset.p0.i64(ptr %p, i8 0, i64 %n, i1 false)"),
                 "an intrinsic that is not allowed");
  expect_refused(function("%r = load volatile float, ptr %p"), "a volatile or atomic access");
  expect_refused(function("fence seq_cst"), "an instruction that is not allowed");
  expect_refused(function("%r = alloca i8, i64 %n"), "memory of a size that varies");
  // Only the object shows this one.
  expect_refused(function("%a = zext i64 %n to i128\n %b = load i128, ptr %p\n %r = udiv i128 %b, %a\n"
                          "store i128 %r, ptr %p"),
                 "symbol __udivti3 is not in the object");
}

TEST(MachineCodeRefuses, TheScalarLevel) {
  EXPECT_THROW(compiled(function(""), Isa::scalar), Error);
}

TEST(MachineCodeAllows, CallsWithinTheModuleAndPromotesMemory) {
  const ObjectCode code = loaded(R"(
define internal float @half(float %x, float %y) noinline {
  %r = fmul float %x, %y
  ret float %r
}
define float @f(float %x, float %y) {
  %room = alloca float
  %h = call float @half(float %x, float %y)
  store float %h, ptr %room
  %v = load float, ptr %room
  %r = fadd float %v, %x
  ret float %r
})",
                                 Isa::avx2);
  if (!has(Isa::avx2)) GTEST_SKIP() << "this CPU lacks avx2";
  EXPECT_EQ(reinterpret_cast<float (*)(float, float)>(code.function("f"))(6, 0.5F), 9);
  EXPECT_THROW(code.function("half"), Error);
}

}  // namespace
}  // namespace reprise::codegen
