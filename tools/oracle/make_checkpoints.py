"""Random checkpoints in Hugging Face form, with fixed seeds: every family, with the shapes and features that engines get
wrong. Each exists as float32 and as bfloat16 (the same numbers, rounded).

usage: make_checkpoints.py [--out DIR] [--only NAME]     (default: the user's cache, reprise/oracle-checkpoints)
"""
import argparse
import hashlib
import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from common import cache_dir, say, torch, transformers

FAMILIES = {
    "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
    "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM),
    "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM),
    "ernie": (transformers.Ernie4_5Config, transformers.Ernie4_5ForCausalLM),
}


@dataclass
class Checkpoint:
    name: str
    family: str
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int | None  # None: not in config.json, hidden / heads
    ffn: int
    vocab: int
    tied: bool
    rope: dict = field(default_factory=dict)  # rope_parameters without rope_theta; empty is the default kind
    theta: float = 10000.0
    old_dialect: bool = False  # rope_theta + rope_scaling + torch_dtype, as transformers 4 wrote them
    layers: int = 2
    max_positions: int = 512
    sharded: bool = False
    extra: dict = field(default_factory=dict)  # further fields of config.json
    prompt_lengths: tuple = (100,)


LINEAR = {"rope_type": "linear", "factor": 2.5}
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64}
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}
# The trained length of dynamic rotary is max_position_embeddings itself: one prompt starts past it, one grows past it.
PAST_64 = {"max_positions": 64, "prompt_lengths": (100, 50, 30)}

CHECKPOINTS = [
    Checkpoint("llama-plain", "llama", 64, 4, 4, None, 172, 257, tied=True, old_dialect=True),
    Checkpoint("llama-linear", "llama", 204, 6, 2, 64, 333, 509, tied=False, rope=LINEAR, sharded=True),
    Checkpoint("llama-dynamic", "llama", 104, 8, 1, 16, 190, 401, tied=False, rope=DYNAMIC, old_dialect=True, **PAST_64),
    Checkpoint("llama-llama3-bias", "llama", 192, 3, 1, None, 301, 383, tied=True, rope=LLAMA3, theta=500000.0,
               extra={"attention_bias": True, "mlp_bias": True}),
    Checkpoint("llama-yarn", "llama", 250, 2, 2, 128, 270, 331, tied=False, rope=YARN, old_dialect=True, layers=3),
    Checkpoint("llama-hd80-g7", "llama", 140, 7, 1, 80, 222, 1009, tied=False, old_dialect=True, sharded=True,
               extra={"attention_bias": True}),
    Checkpoint("mistral-window", "mistral", 136, 8, 1, 64, 251, 419, tied=False, layers=3,
               extra={"sliding_window": 24}),
    Checkpoint("mistral-yarn", "mistral", 150, 6, 2, 80, 206, 367, tied=True, old_dialect=True,
               rope=YARN | {"beta_fast": 16.0, "beta_slow": 2.0, "attention_factor": 1.25},
               extra={"sliding_window": None}),
    Checkpoint("mistral-window-dynamic", "mistral", 112, 7, 1, 16, 175, 293, tied=False, rope=DYNAMIC,
               extra={"sliding_window": 7}, **PAST_64),
    Checkpoint("mistral-llama3", "mistral", 174, 3, 3, 128, 210, 271, tied=False, rope=LLAMA3, sharded=True,
               extra={"sliding_window": 33}),
    Checkpoint("qwen2-plain", "qwen2", 128, 8, 1, None, 203, 607, tied=True, theta=1e6, old_dialect=True),
    Checkpoint("qwen2-window", "qwen2", 224, 14, 2, None, 307, 353, tied=False, layers=3, sharded=True,
               extra={"use_sliding_window": True, "sliding_window": 19, "max_window_layers": 1}),
    Checkpoint("qwen2-layer-types", "qwen2", 192, 3, 1, None, 218, 311, tied=True, rope=YARN, old_dialect=True, layers=3,
               extra={"use_sliding_window": True, "sliding_window": 40, "max_window_layers": 3,
                      "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}),
    Checkpoint("qwen2-dynamic", "qwen2", 160, 2, 2, None, 250, 433, tied=False, rope=DYNAMIC, **PAST_64),
    Checkpoint("qwen2-window-off", "qwen2", 96, 3, 1, None, 170, 239, tied=False, rope=LINEAR,
               extra={"use_sliding_window": False, "sliding_window": 8, "max_window_layers": 0}),
    Checkpoint("qwen3-plain", "qwen3", 100, 4, 4, 128, 173, 467, tied=True, theta=1e6, old_dialect=True),
    Checkpoint("qwen3-yarn-bias", "qwen3", 168, 8, 1, 64, 290, 521, tied=False, rope=YARN, sharded=True, layers=3,
               extra={"attention_bias": True}),
    Checkpoint("qwen3-window", "qwen3", 138, 6, 2, 80, 187, 349, tied=True, rope=LINEAR, old_dialect=True, layers=3,
               extra={"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 2}),
    Checkpoint("qwen3-dynamic", "qwen3", 116, 7, 1, 16, 199, 577, tied=False, rope=DYNAMIC, **PAST_64),
    Checkpoint("ernie-plain", "ernie", 120, 8, 1, 128, 205, 617, tied=True, theta=500000.0, old_dialect=True),
    Checkpoint("ernie-bias", "ernie", 154, 7, 1, 64, 230, 373, tied=False, rope=LINEAR, sharded=True,
               extra={"use_bias": True}),
    Checkpoint("ernie-dynamic", "ernie", 102, 6, 2, 16, 185, 317, tied=False, rope=DYNAMIC, old_dialect=True, **PAST_64),
    Checkpoint("ernie-yarn", "ernie", 182, 2, 2, 80, 240, 283, tied=True, rope=YARN | {"truncate": False}, layers=3,
               extra={"use_bias": True}),
    Checkpoint("ernie-llama3", "ernie", 90, 3, 1, 16, 150, 263, tied=False, rope=LLAMA3, old_dialect=True),
]


def randomise(model, seed):
    """Weights after which activations stay near one, attention is neither flat nor a single spike, and the logits spread
    by about 2.5, so that greedy decoding rarely meets a tie. Norm weights and biases are anything but trivial."""
    generator = torch.Generator().manual_seed(seed)
    spread = 2.5 / math.sqrt(model.config.hidden_size)
    for name, weight in sorted(model.named_parameters()):
        noise = torch.randn(weight.shape, generator=generator)
        if name.endswith("bias"):
            value = 0.3 * noise
        elif "norm" in name:
            value = 1.0 + 0.25 * noise
        elif "embed_tokens" in name or "lm_head" in name:
            value = spread * noise
        else:
            value = 1.2 * noise / math.sqrt(weight.shape[-1])
        weight.copy_(value)


def old_dialect(config, spec):
    """config.json as transformers 4 wrote it."""
    config.pop("rope_parameters")
    config["rope_theta"] = spec.theta
    config["rope_scaling"] = None
    if spec.rope:
        scaling = dict(spec.rope)
        # Both names of the kind are found in the wild.
        if scaling["rope_type"] in ("linear", "dynamic"):
            scaling["type"] = scaling.pop("rope_type")
        config["rope_scaling"] = scaling
    config["torch_dtype"] = config.pop("dtype")
    config["transformers_version"] = "4.44.0"
    return config


def build_model(spec):
    config_class, model_class = FAMILIES[spec.family]
    config = config_class(
        vocab_size=spec.vocab, hidden_size=spec.hidden, intermediate_size=spec.ffn, num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads, num_key_value_heads=spec.kv_heads,
        **({"head_dim": spec.head_dim} if spec.head_dim else {}), max_position_embeddings=spec.max_positions,
        rms_norm_eps=1e-5, tie_word_embeddings=spec.tied,
        rope_parameters={"rope_type": "default", **spec.rope, "rope_theta": spec.theta},
        bos_token_id=1, eos_token_id=2, pad_token_id=None, **spec.extra)
    model = model_class(config).eval()
    randomise(model, seed=int.from_bytes(hashlib.sha256(spec.name.encode()).digest()[:4]))
    return model


def write(model, spec, folder, dtype):
    """A folder as transformers saves it, config.json in the dialect that the checkpoint asks for."""
    shutil.rmtree(folder, ignore_errors=True)
    rounded = model.to(dtype)
    size = sum(p.numel() * p.element_size() for p in rounded.parameters())
    rounded.save_pretrained(folder, max_shard_size=size // 3 if spec.sharded else "5GB")
    path = folder / "config.json"
    config = json.loads(path.read_text())
    # What a config.json of the older kind says of windows is in these fields, not in layer_types.
    if "layer_types" not in spec.extra:
        config.pop("layer_types", None)
    for key in ("use_sliding_window", "sliding_window", "max_window_layers"):
        if key in spec.extra:
            config[key] = spec.extra[key]
    if spec.head_dim is None:
        config.pop("head_dim", None)
    path.write_text(json.dumps(old_dialect(config, spec) if spec.old_dialect else config, indent=2, sort_keys=True) + "\n")


def folders(spec, root):
    return {dtype: root / f"{spec.name}-{dtype}" for dtype in ("float32", "bfloat16")}


def ensure(root, only=None):
    """Makes what is missing under root; all of it where this script has changed since."""
    stamp = root / "made-by"
    digest = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    fresh = stamp.exists() and stamp.read_text() == digest
    chosen = [spec for spec in CHECKPOINTS if only is None or only in spec.name]
    root.mkdir(parents=True, exist_ok=True)
    for spec in chosen:
        out = folders(spec, root)
        if fresh and all((folder / "config.json").exists() for folder in out.values()):
            continue
        model = build_model(spec)
        write(model, spec, out["float32"], torch.float32)
        write(model, spec, out["bfloat16"], torch.bfloat16)
    if only is None:
        stamp.write_text(digest)
    return chosen


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=cache_dir() / "oracle-checkpoints")
    arguments.add_argument("--only")
    options = arguments.parse_args()
    made = ensure(options.out, options.only)
    size = sum(f.stat().st_size for f in options.out.rglob("*.safetensors"))
    say(f"{len(made)} checkpoints, each in two dtypes, {size / 1e6:.0f} MB, in {options.out}")


if __name__ == "__main__":
    main()
