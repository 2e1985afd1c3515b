#include "tests/ops/op_cases.h"

#include <gtest/gtest.h>

#include "device/cpu/isa_select.h"
#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/matmul.h"
#include "ops/norm.h"
#include "ops/rotary.h"
#include "ops/rotary_kv_write.h"

namespace reprise::ops::testing {
namespace {

constexpr DType kDTypes[] = {DType::f32, DType::bf16};
constexpr int64_t kTokenCounts[] = {1, 3, 17};

class Cases {
 public:
  Cases(DType dtype, int64_t tokens) : dtype_(dtype), sizes_{.tokens = tokens, .seqs = 3} {
    elementwise();
    norms();
    matmuls();
    tables();
    rotaries();
    rotary_kv_writes();
  }

  std::vector<OpCase> all;

 private:
  void add(const OpSchema& schema, std::string what, std::vector<Operand> inputs,
           std::vector<AttrValue> attrs = {}) {
    all.push_back({.what = std::string(schema.name) + " " + what,
                   .schema = &schema,
                   .sizes = sizes_,
                   .inputs = std::move(inputs),
                   .attrs = std::move(attrs)});
  }
  Operand rows(int64_t width) { return random(dtype_, Shape{kTokens, width}, sizes_, ++seed_); }
  Operand table(Shape shape) { return random(DType::f32, shape, sizes_, ++seed_); }
  Operand weight(int64_t n, int64_t k) { return packed(dtype_, n, k, ++seed_); }
  // f(token) for each token.
  template <typename F>
  Operand each_token(F&& f) {
    std::vector<int32_t> values;
    for (int32_t token = 0; token < sizes_.tokens; ++token) values.push_back(f(token));
    return integers(Shape{kTokens}, values);
  }

  void elementwise() {
    for (int64_t width : {1, 33, 576}) {
      const std::string what = std::to_string(width) + " wide";
      for (const OpSchema* unary : {&kSilu, &kGelu, &kGeluTanh}) add(*unary, what, {rows(width)});
      for (const OpSchema* binary : {&kAdd, &kMul, &kSiluMul, &kGeluMul, &kGeluTanhMul})
        add(*binary, what, {rows(width), rows(width)});
    }
  }

  void norms() {
    for (int64_t dim : {1, 33, 576}) {
      const std::string what = "of " + std::to_string(dim);
      add(kRmsNorm, what, {rows(dim), table({dim})}, {1e-5});
      add(kAddRmsNorm, what, {rows(dim), rows(dim), table({dim})}, {1e-5});
      add(kLayerNorm, what, {rows(dim), table({dim}), table({dim})}, {1e-5});
      add(kLayerNorm, what + " without bias", {rows(dim), table({dim}), absent()}, {1e-5});
    }
    add(kRmsNorm, "of heads", {rows(3 * 20), table({20})}, {1e-6});
    add(kAddRmsNorm, "of heads", {rows(3 * 20), rows(3 * 20), table({20})}, {1e-6});
  }

  void matmuls() {
    constexpr int64_t kOutputs[] = {70, 1, 32, 45};
    for (DType out : {dtype_, DType::f32}) {
      for (int64_t k : {37, 64}) {
        const std::string what = std::to_string(k) + " to " + std::string(name_of(out));
        add(kMatmul, what, {rows(k), weight(70, k), table({70})}, {out});
        add(kMatmul, what + " without bias", {rows(k), weight(45, k), absent()}, {out});
        for (size_t segments = 1; segments <= 4; ++segments) {
          std::vector<Operand> inputs = {rows(k)};
          for (size_t i = 0; i < 4; ++i) {
            const bool biased = i < segments && i % 2 == 0;
            inputs.push_back(i < segments ? weight(kOutputs[i], k) : absent());
            inputs.push_back(biased ? table({kOutputs[i]}) : absent());
          }
          add(kMatmulGroup, what + ", " + std::to_string(segments) + " weights", inputs, {out});
        }
      }
    }
  }

  void tables() {
    add(kEmbedding, "", {each_token([](int32_t t) { return t * 7 % 40; }), weight(40, 37)});
    for (int64_t dynamic : {0, 1})
      add(kRotaryAngles, dynamic == 1 ? "dynamic" : "",
          {each_token([](int32_t t) { return t * 100; }), each_token([](int32_t t) { return t * 100 + 1; }),
           table({10})},
          {int64_t{20}, 1.25, dtype_, dynamic, 10000.0, 2.0, int64_t{512}});
  }

  // heads of head_dim of which rot_dim elements turn; whether products are rounded; style
  template <typename F>
  void each_rotation(F&& f) {
    for (const auto& [head_dim, rot_dim] :
         {std::pair<int64_t, int64_t>{20, 20}, {20, 12}, {64, 64}, {96, 64}})
      for (int64_t style : {0, 1})
        for (int64_t round : {0, 1})
          f(head_dim, rot_dim, style, round,
            std::to_string(rot_dim) + " of " + std::to_string(head_dim) +
                (style == static_cast<int64_t>(RotaryStyle::half) ? " half" : " interleaved") +
                (round == 1 ? " rounded" : ""));
  }

  void rotaries() {
    each_rotation(
        [&](int64_t head_dim, int64_t rot_dim, int64_t style, int64_t round, const std::string& what) {
          const Shape angles{kTokens, rot_dim / 2};
          add(kRotary, what, {rows(3 * head_dim), table(angles), table(angles)}, {head_dim, style, round});
        });
  }

  void rotary_kv_writes() {
    constexpr int64_t kBlockSize = 16, kBlocks = 4, kPositions = 50;
    // Neighbours lie in other blocks; every fourth token is a padding row.
    const Operand slots = each_token([](int32_t t) { return t % 4 == 1 ? t % 16 : 16 + t % 3 * 16 + t / 3; });
    const Operand positions = each_token([](int32_t t) { return (t * 11 + 3) % 50; });
    int variant = 0;
    each_rotation(
        [&](int64_t head_dim, int64_t rot_dim, int64_t style, int64_t round, const std::string& what) {
          for (bool tabled : {false, true}) {
            for (int64_t kv_heads : {1, 3}) {
              // Norms of q, of k, of both and of neither take turns.
              const bool q_normed = variant % 2 == 0, k_normed = variant / 2 % 2 == 0;
              variant += 1 + variant / 4 % 2;
              const Shape angles{tabled ? Dim{kPositions} : kTokens, rot_dim / 2};
              const Shape cache{kBlocks, kv_heads * head_dim * kBlockSize};
              add(kRotaryKvWrite,
                  what + (tabled ? " by position" : "") + (q_normed ? ", q normed" : "") +
                      (k_normed ? ", k normed" : "") + ", kv heads " + std::to_string(kv_heads),
                  {rows(3 * head_dim), rows(kv_heads * head_dim), rows(kv_heads * head_dim),
                   q_normed ? table({head_dim}) : absent(), k_normed ? table({head_dim}) : absent(),
                   table(angles), table(angles), tabled ? positions : absent(), slots,
                   random(dtype_, cache, sizes_, ++seed_), random(dtype_, cache, sizes_, ++seed_)},
                  {kv_heads, head_dim, kBlockSize, style, round, 1e-6});
            }
          }
        });
  }

  DType dtype_;
  StepSizes sizes_;
  uint32_t seed_ = 0;
};

}  // namespace

std::vector<OpCase> op_cases(DType dtype, int64_t tokens) {
  return Cases(dtype, tokens).all;
}

void for_all_cases(const std::function<void(const OpCase&, Isa)>& check) {
  for (DType dtype : kDTypes) {
    for (int64_t tokens : kTokenCounts) {
      const std::vector<OpCase> cases = op_cases(dtype, tokens);
      for (Isa isa : cpu::available_isas()) {
        for (const OpCase& op : cases) {
          SCOPED_TRACE(::testing::Message()
                       << op.what << ", " << name_of(dtype) << ", T=" << tokens << ", " << name_of(isa));
          check(op, isa);
        }
      }
    }
  }
}

}  // namespace reprise::ops::testing
