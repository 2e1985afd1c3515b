# What runs on the emulated CPU: the levels that the machine below may lack, by the goldens of transformers, the engine's
# contracts and the tests of the kernels. A test that passes prints nothing.
# Levels that a CPU lacks are skipped by the tests: nothing would be shown, so the job ends if AMX isn't chosen.
./reprise collect-env | grep '^isa_bfloat16  *amx$'
for isa in avx512_bf16 amx; do
  ./reprise generate --model source/models/tiny --prompt "Once upon a time" --max-tokens 24 --isa $isa --dtype bfloat16
done
# Level 2 by kernels that the machine below compiled: the log-probabilities of level 0.
level2='{"graph_opt_level": 2, "use_cudagraph": true}'
for kernels in *.kernels; do
  [ -f "$kernels" ] || { echo "level 2 is skipped: this build has no compiler"; continue; }
  named=${kernels%.kernels}
  said="./reprise generate --model source/models/tiny --isa ${named%-*} --dtype ${named#*-} --max-tokens 24 --n 3 --json --logprobs 2"
  $said --prompt "Once upon a time" >level0.json
  $said --prompt "Once upon a time" --graph-optimization-config "$level2" --compiled "$kernels" \
    --compile-cache off --graph-verify startup >level2.json
  for level in 0 2; do sed 's/,"metrics".*//' level$level.json >$level.outputs; done
  cmp 0.outputs 2.outputs
  grep -o '"compile":.*"not_compiled":{}' level2.json
done
for isa in avx512 avx512_bf16 amx; do
  REPRISE_ISA=$isa ./test_models --gtest_brief=1 --gtest_filter='*Golden*'
done
./test_engine --gtest_brief=1 --gtest_filter='Levels/Invariance.*avx512*:Levels/Invariance.*amx*'
REPRISE_ISA=amx ./test_engine --gtest_brief=1 --gtest_filter='*GraphEquality*/Qwen3*bfloat16'
./test_matmul --gtest_brief=1
./test_vec --gtest_brief=1
