# What runs on the emulated CPU: the levels that the machine below may lack, by the goldens of transformers, the engine's
# contracts and the tests of the kernels. A test that passes prints nothing.
# Levels that a CPU lacks are skipped by the tests: nothing would be shown, so the job ends if AMX isn't chosen.
./reprise collect-env | grep '^isa_bfloat16  *amx$'
for isa in avx512_bf16 amx; do
  ./reprise generate --model source/models/tiny --prompt "Once upon a time" --max-tokens 24 --isa $isa --dtype bfloat16
done
for isa in avx512 avx512_bf16 amx; do
  REPRISE_ISA=$isa ./test_models --gtest_brief=1 --gtest_filter='*Golden*'
done
./test_engine --gtest_brief=1 --gtest_filter='Levels/Invariance.*avx512*:Levels/Invariance.*amx*'
REPRISE_ISA=amx ./test_engine --gtest_brief=1 --gtest_filter='*GraphEquality*/Qwen3*bfloat16'
./test_matmul --gtest_brief=1
./test_vec --gtest_brief=1
