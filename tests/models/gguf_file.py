"""Small GGUF files as llama.cpp writes them, and a forward of one in numpy, by llama.cpp's conventions."""

from pathlib import Path

import gguf
import numpy as np
from tokenizers.pre_tokenizers import ByteLevel

from crl.seeding import stream

WIDTH, HEADS, KV_HEADS, FEED_FORWARD, LAYERS, BASE = 64, 4, 2, 96, 2, 10_000.0
EPSILON = 1e-5
CONTROL = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{%- for message in messages -%}{{- '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)


def write_gguf(
    file: Path, *, tied: bool = True, pre: str = "smollm", template: str | None = TEMPLATE, end: int = 257
) -> None:
    """A Llama of random weights, matrices as Q8_0, and a tokenizer of bytes, some merges, and an unused row."""
    merges = ["Ġ Ġ", "1 2", "n o"]
    tokens = [*sorted(ByteLevel.alphabet()), *CONTROL, *("".join(pair.split()) for pair in merges), "[PAD]"]
    types = [1] * 256 + [3] * len(CONTROL) + [1] * len(merges) + [5]
    writer, draw = gguf.GGUFWriter(file, "llama"), stream("gguf-file", tied)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_freq_base(BASE)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(257)
    if template is not None:
        writer.add_chat_template(template)
    narrow = WIDTH * KV_HEADS // HEADS
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (narrow, WIDTH),
        "attn_v": (narrow, WIDTH),
        "attn_output": (WIDTH, WIDTH),
    }
    shapes |= {"ffn_gate": (FEED_FORWARD, WIDTH), "ffn_up": (FEED_FORWARD, WIDTH), "ffn_down": (WIDTH, FEED_FORWARD)}
    tables = {"token_embd": (len(tokens), WIDTH)} | ({} if tied else {"output": (len(tokens), WIDTH)})
    matrices = {f"blk.{layer}.{name}": shape for layer in range(LAYERS) for name, shape in shapes.items()} | tables
    for name, shape in matrices.items():
        values = draw.normal(0, 0.3, shape).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(f"{name}.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
    for name in ("output_norm", *(f"blk.{i}.{norm}" for i in range(LAYERS) for norm in ("attn_norm", "ffn_norm"))):
        writer.add_tensor(f"{name}.weight", draw.uniform(0.5, 1.5, WIDTH).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def logprobs(file: Path, ids: list[int]) -> np.ndarray:
    """Log-probs of each token after the first, [T - 1], by the file's own weights and metadata; Llama without biases."""
    reader = gguf.GGUFReader(file)
    weights = {t.name.removesuffix(".weight"): gguf.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}
    told = {name.removeprefix("llama."): field.contents() for name, field in reader.fields.items() if "llama." in name}
    heads, kv_heads = told["attention.head_count"], told["attention.head_count_kv"]
    epsilon, base = told["attention.layer_norm_rms_epsilon"], told["rope.freq_base"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + epsilon) * weights[name]

    def rotated(x: np.ndarray) -> np.ndarray:
        """llama.cpp turns neighbours, (0, 1), (2, 3), ...; x is [heads, T, d]."""
        width = x.shape[-1]
        angles = np.arange(x.shape[1])[:, None] * base ** (-np.arange(0, width, 2) / width)
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = np.stack(
            [even * np.cos(angles) - odd * np.sin(angles), even * np.sin(angles) + odd * np.cos(angles)], -1
        )
        return turned.reshape(x.shape)

    def split(x: np.ndarray, count: int) -> np.ndarray:
        return x.reshape(len(ids), count, -1).swapaxes(0, 1)

    x = weights["token_embd"][ids].astype(np.float64)
    later = np.triu(np.full((len(ids), len(ids)), -np.inf), 1)
    for layer in range(told["block_count"]):
        block = f"blk.{layer}."
        h = norm(x, f"{block}attn_norm")
        q, k, v = (h @ weights[f"{block}attn_{each}"].T for each in "qkv")
        q, k, v = rotated(split(q, heads)), rotated(split(k, kv_heads)), split(v, kv_heads)
        k, v = (np.repeat(each, heads // kv_heads, 0) for each in (k, v))
        scores = q @ k.swapaxes(1, 2) / np.sqrt(q.shape[-1]) + later
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True)) @ v
        x = x + mixed.swapaxes(0, 1).reshape(len(ids), -1) @ weights[f"{block}attn_output"].T
        h = norm(x, f"{block}ffn_norm")
        gate, up = h @ weights[f"{block}ffn_gate"].T, h @ weights[f"{block}ffn_up"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[f"{block}ffn_down"].T
    logits = norm(x, "output_norm") @ weights.get("output", weights["token_embd"]).T
    logits -= logits.max(-1, keepdims=True)
    every = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return every[np.arange(len(ids) - 1), ids[1:]]
