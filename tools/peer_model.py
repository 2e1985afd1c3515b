"""The model file that both sides of a comparison read: a shape of tools/shapes with random weights, as GGUF."""
import json, sys
from pathlib import Path

import gguf
import numpy as np

SHAPES = Path(__file__).resolve().parent / "shapes"


def make_gguf(config, kind, path):
    """Random weights of the shape as a GGUF file in the stored type `kind`."""
    rng = np.random.default_rng(1)
    stored = gguf.GGMLQuantizationType[kind]
    partial = path.with_suffix(".part")
    writer = gguf.GGUFWriter(partial, config["model_type"])
    head = config["head_dim"]
    hidden, ffn, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(hidden)
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(vocab)
    writer.add_file_type(gguf.LlamaFileType[f"ALL_{kind}" if kind == "F32" else f"MOSTLY_{kind}"])
    # A vocabulary in which a token is a character: bytes, printable characters, the mark of a space, then fillers.
    letters = ["\u2581"] + [chr(c) for c in range(33, 127)]
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)] + letters
    kinds = ([gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
             + [gguf.TokenType.NORMAL] * len(letters))
    fillers = range(len(names), vocab)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(names + [f"\u2581f{i}" for i in fillers])
    writer.add_token_scores([0.0] * len(names) + [-float(i) for i in fillers])
    writer.add_token_types(kinds + [gguf.TokenType.NORMAL] * len(fillers))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def matrix(name, rows, columns, scale=None):
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(scale or columns ** -0.5)
        writer.add_tensor(name, gguf.quants.quantize(values, stored), raw_dtype=stored)

    matrix("token_embd.weight", vocab, hidden, 0.05)
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for layer in range(config["num_hidden_layers"]):
        at = f"blk.{layer}."
        for name, rows, columns in (("attn_q", queries, hidden), ("attn_k", keys, hidden), ("attn_v", keys, hidden),
                                    ("attn_output", hidden, queries), ("ffn_gate", ffn, hidden), ("ffn_up", ffn, hidden),
                                    ("ffn_down", hidden, ffn)):
            matrix(f"{at}{name}.weight", rows, columns)
        norms = [("attn_norm", hidden), ("ffn_norm", hidden)]
        if config["model_type"] == "qwen3":
            norms += [("attn_q_norm", head), ("attn_k_norm", head)]
        for name, size in norms:
            writer.add_tensor(f"{at}{name}.weight", np.ones(size, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.rename(path)


def model_file(peer, shape, kind):
    """Its path in the peer's folder, made where it is not there."""
    path = peer / f"{shape}-{kind}-random-letters.gguf"
    if not path.exists():
        print(f"making {path.name} ...", file=sys.stderr)
        make_gguf(json.loads((SHAPES / shape / "config.json").read_text()), kind, path)
    return path
