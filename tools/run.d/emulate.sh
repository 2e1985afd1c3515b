# The levels that this machine's CPU lacks, on an emulated one.

task_emulate() {
  build release all
  tools/emulate/emulate.sh build/release "$@"
}
