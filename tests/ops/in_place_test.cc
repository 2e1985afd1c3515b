// An output that takes the storage of an input, as its schema allows, has the bits that it has elsewhere.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/ops/op_cases.h"

namespace reprise::ops::testing {
namespace {

// Every way in which outputs from `output` on share inputs that no other shares.
void each_sharing(const OpSchema& schema, int outputs, int output, Shares shares,
                  const std::function<void(const Shares&)>& f) {
  if (output == outputs) return f(shares);
  each_sharing(schema, outputs, output + 1, shares, f);
  for (int input = 0; input < static_cast<int>(schema.input_names.size()); ++input) {
    if ((schema.may_share[static_cast<size_t>(output)] >> input & 1) == 0) continue;
    if (std::find(shares.begin(), shares.end(), input) != shares.end()) continue;
    shares[static_cast<size_t>(output)] = input;
    each_sharing(schema, outputs, output + 1, shares, f);
    shares[static_cast<size_t>(output)] = -1;
  }
}

TEST(InPlaceTest, SameBitsAsOutOfPlace) {
  for_all_cases([](const OpCase& op, Isa isa) {
    const Result expected = run_launch(op, isa);
    const auto check = [&](const Shares& shares) {
      if (shares == kNoShares) return;
      SCOPED_TRACE(::testing::Message() << "outputs share inputs " << shares[0] << ", " << shares[1]);
      const Result result = run_launch(op, isa, shares);
      EXPECT_TRUE(result.outputs == expected.outputs);
      for (size_t i = 0; i < op.inputs.size(); ++i) {
        const bool mutated = (op.schema->mutated_inputs >> i & 1) != 0;
        EXPECT_TRUE(!mutated || result.inputs[i] == expected.inputs[i]) << "input " << i;
      }
    };
    each_sharing(*op.schema, static_cast<int>(expected.outputs.size()), 0, kNoShares, check);
  });
}

}  // namespace
}  // namespace reprise::ops::testing
