"""Dequantisation of GGUF tensors against the `gguf` Python package, bit for bit, and the row order of llama files.

Writes a GGUF file that holds random blocks of every type next to the f32 values that the package makes of them, then
lets test_weights compare (GgufGolden, told the file by REPRISE_GGUF_GOLDEN). The small file of the tests:
    python tools/oracle/gguf_oracle.py --write tests/weights/data/golden.gguf --rows 2 --seed 7
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

TYPES = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.Q4_K, T.Q5_K, T.Q6_K]
# Byte offsets of the f16 scales in a block. Half of the blocks get ordinary scales, so that not all is huge or NaN.
SCALES = {T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.Q4_K: [0, 2], T.Q5_K: [0, 2],
          T.Q6_K: [208]}
COLUMNS = 512
HEADS, KV_HEADS, HEAD_DIM = 4, 2, 8


def random_blocks(rng, kind, rows):
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows * COLUMNS // block, size), dtype=np.uint8)
    for offset in SCALES.get(kind, []):
        ordinary = rng.normal(0, 0.02, len(data)).astype(np.float16).view(np.uint8).reshape(-1, 2)
        keep = rng.random(len(data)) < 0.5
        data[keep, offset:offset + 2] = ordinary[keep]
    return data.reshape(rows, -1)


def permute(weights, heads):
    """What llama.cpp's convert_hf_to_gguf.py does to q_proj and k_proj of the llama architecture."""
    return (weights.reshape(heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
            .swapaxes(1, 2).reshape(weights.shape))


def write(path, rows, seed):
    rng = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    for kind in TYPES:
        data = random_blocks(rng, kind, rows)
        with np.errstate(all="ignore"):
            expected = np.array(gguf.dequantize(data, kind), dtype=np.float32).reshape(rows, COLUMNS)
        name = f"case.{kind.name}"
        if kind == T.F32:
            writer.add_tensor(name, data.view(np.float32))
        else:
            writer.add_tensor(name, data, raw_dtype=kind)
        writer.add_tensor(f"expected.{name}", expected)
    for letter, heads in (("q", HEADS), ("k", KV_HEADS)):
        hf_name = f"model.layers.0.self_attn.{letter}_proj"
        weight = rng.normal(0, 1, (heads * HEAD_DIM, 32)).astype(np.float32)
        bias = rng.normal(0, 1, heads * HEAD_DIM).astype(np.float32)
        packed = gguf.quantize(weight, T.Q8_0)
        writer.add_tensor(f"blk.0.attn_{letter}.weight", permute(packed, heads), raw_dtype=T.Q8_0)
        writer.add_tensor(f"expected.{hf_name}.weight", gguf.dequantize(packed, T.Q8_0))
        writer.add_tensor(f"blk.0.attn_{letter}.bias", permute(bias, heads))
        writer.add_tensor(f"expected.{hf_name}.bias", bias)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reprise", type=Path, default=Path("build/release/reprise"), help="tells the build folder")
    parser.add_argument("--shared", type=Path, help="not used by this oracle")
    parser.add_argument("--write", type=Path, help="write the file and stop")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if args.write:
        write(args.write, args.rows, args.seed)
        return 0
    build = args.reprise.parent
    subprocess.run(["cmake", "--build", str(build), "--target", "test_weights"], check=True, stdout=subprocess.DEVNULL)
    program = next(p for p in build.rglob("test_weights") if os.access(p, os.X_OK) and p.is_file())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "random.gguf"
        write(path, args.rows, args.seed)
        environment = os.environ | {"REPRISE_GGUF_GOLDEN": str(path)}
        done = subprocess.run([program, "--gtest_filter=GgufGolden.*"], env=environment, capture_output=True, text=True)
    print("\n".join(done.stdout.splitlines()[-12:]))
    print(f"gguf: {len(TYPES)} types, {args.rows * COLUMNS} values each")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
