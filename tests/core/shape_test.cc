#include "core/shape.h"

#include <gtest/gtest.h>

namespace reprise {
namespace {

TEST(Dim, EvaluatesAndPrints) {
  const Dim dim = kTokens * 2 + kSeqs + kRows * 5 + Dim{3};
  EXPECT_EQ(dim.eval({.tokens = 5, .seqs = 7, .rows = 2}), 30);
  EXPECT_EQ(to_string(dim), "2*T+S+5*R+3");
  for (const Dim& symbol : {kTokens, kSeqs, kRows}) EXPECT_FALSE(symbol.is_constant());
  EXPECT_EQ(to_string(Dim{1024}), "1024");
  EXPECT_EQ(to_string(kTokens), "T");
  EXPECT_EQ(to_string(kSeqs + Dim{-1}), "S-1");
}

TEST(Shape, ElementsAreAffine) {
  const Shape shape{kTokens, 16, 64};
  EXPECT_EQ(shape.elements().eval({.tokens = 3, .seqs = 9}), 3 * 16 * 64);
  EXPECT_EQ(shape.row_elements(), 1024);
  EXPECT_EQ(to_string(shape), "[T, 16, 64]");
  EXPECT_EQ((Shape{4, 8}).elements(), Dim{32});
}

}  // namespace
}  // namespace reprise
