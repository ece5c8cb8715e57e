"""Whether architectures of transformers act and learn here: at toy size, with random weights.

    python -m benchmarks.models [--only NAME ...] [--markdown] [--vllm FILE] [--json FILE]

Of each: the engine's log-probs (sessions of unlike lengths, several turns, fed in pieces) against a whole forward; the
ratio of the first update on unchanged weights against 1; that update, and the engine with its weights; saving and
loading. A row says `ok`, or why the engine or the whole library refuses the architecture; anything else is a fault, and
ends with 1. What the engine alone refuses (vLLM may have it) still learns, on log-probs of whole forwards.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging

from benchmarks.common import markdown, print_table, told, write_json
from crl.config.learn import AdamConfig
from crl.doctor.weights import play, sequences, whole_forward, worst_nats
from crl.engine.transformers import TransformersEngine
from crl.errors import CrlError, EngineError
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import TrainingSequence, WeightedSequence
from crl.learn.trainer import Trainer
from crl.models.context import check_named_context
from crl.models.resolve import load_model, save_model
from crl.seeding import derive_seed, stream
from crl.tiny.tokenizer import train_tokenizer

VOCABULARY, CONTEXT_TOKENS = 320, 96
PROMPT_TOKENS, TURNS = (5, 17, 29, 40), 2  # of four sessions at once
TOLERANCE = 1e-4  # nats, and of the ratio
# One size by every name that an architecture may give to it; those that it does not know are left out.
SIZES = {
    "vocab_size": VOCABULARY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "head_dim": 32, "rotary_dim": 16,
    **dict.fromkeys(("hidden_size", "intermediate_size", "n_embd", "ffn_dim", "word_embed_proj_dim", "d_model"), 64),
    **dict.fromkeys(("ffn_hidden_size", "intermediate_size_mlp"), 64),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "n_head", "n_heads", "attention_heads"), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len"), 256),
    **dict.fromkeys(("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"), 4),
    **dict.fromkeys(("num_experts_per_tok", "moe_k"), 2),
    **dict.fromkeys(("n_group", "topk_group", "n_shared_experts", "first_k_dense_replace"), 1),
    **dict.fromkeys(("moe_intermediate_size", "shared_expert_intermediate_size"), 32),
    **dict.fromkeys(("q_lora_rank", "kv_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim"), 16),
}  # fmt: skip
_LONGROPE = {
    "rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 16, "long_factor": [1.0 + i for i in range(16)],
}  # fmt: skip
PLAIN = """
    apertus arcee bert biogpt cohere cohere2 cwm deepseek_v2 diffllama dots1 ernie4_5 ernie4_5_moe exaone4 gemma gemma2
    gemma3_text gemma4_text glm glm4 glm4_moe gpt2 gpt_bigcode gpt_neox gpt_oss gptj granite granitemoe helium
    hunyuan_v1_dense jamba llama llama4_text mamba minicpm3 ministral3 mistral mixtral modernbert-decoder mpt nanochat
    nemotron nemotron_h olmo olmo2 olmo3 olmoe openai-gpt opt persimmon phi phi3 phimoe qwen2 qwen2_moe qwen3 qwen3_5_text
    qwen3_moe qwen3_next recurrent_gemma rwkv smollm3 stablelm xglm xlnet
"""
# Architectures and what differs from their defaults; a variant's name stands after a `+`.
MODELS: dict[str, dict[str, object]] = {
    **{name: {} for name in PLAIN.split()},
    "bloom": {"hidden_dropout": 0.1, "attention_dropout": 0.1},
    "codegen": {"n_head": 4, "rotary_dim": 8},
    "deepseek_v3": {"head_dim": 16},
    "falcon": {"hidden_dropout": 0.1, "attention_dropout": 0.1},
    "falcon+alibi": {"alibi": True, "hidden_dropout": 0.1},
    "gpt_neo": {"num_heads": 2, "attention_types": [[["global", "local"], 1]], "window_size": 256},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "mistral+window": {"sliding_window": 32},
    "seed_oss": {"residual_dropout": 0.1, "attention_dropout": 0.1},
    "starcoder2": {"residual_dropout": 0.1, "embedding_dropout": 0.1},
    "phi3+longrope": {"original_max_position_embeddings": 64, "rope_parameters": _LONGROPE},
    "phi3+longrope_within": {"original_max_position_embeddings": CONTEXT_TOKENS, "rope_parameters": _LONGROPE},
    "llama+dynamic": {
        "max_position_embeddings": 64, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
    },
    "llama+yarn": {"rope_parameters": {
        "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checked:
    """What one architecture showed; None: it was refused before. What only the engine refuses is learned from whole forwards."""

    name: str
    model: str  # its class
    engine_nats: float | None = None  # the largest |log-prob of the engine - of a whole forward|
    ratio_off: float | None = None  # the largest |ratio - 1| of an update on unchanged weights
    updated: bool | None = None  # weights moved, and the engine with them agrees with a whole forward again
    stored: bool | None = None  # what is saved and loaded has the same log-probs
    refusal: str = ""  # of the engine, or of everything
    fault: str = ""

    @property
    def result(self) -> str:
        return self.fault or self.refusal or "ok"


def build(name: str) -> PreTrainedModel:
    """The architecture at toy size, with weights large enough for log-probs that are far from uniform."""
    kind = name.partition("+")[0]
    made_of = type(AutoConfig.for_model(kind).get_text_config())
    defaults = made_of().to_dict()
    other_names = getattr(made_of, "attribute_map", {})
    sizes = {key: value for key, value in SIZES.items() if key in defaults and key not in other_names}
    torch.manual_seed(derive_seed("benchmark-models", name))
    model = AutoModelForCausalLM.from_config(made_of(**sizes | MODELS[name]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4 if parameter.dim() > 1 else 1)
    return model.float().eval()


def prompts() -> list[list[tuple[int, ...]]]:
    """Of each session, what each turn adds."""
    ids = stream("benchmark-models", "prompts")
    return [
        [tuple(map(int, ids.integers(3, VOCABULARY, length // (turn + 1)))) for turn in range(TURNS)]
        for length in PROMPT_TOKENS
    ]


def imagined(model: PreTrainedModel) -> list[TrainingSequence]:
    """What an engine would have sampled that agrees with whole forwards; for models that ours refuses."""
    draw, found = stream("benchmark-models", "imagined"), []
    for length in PROMPT_TOKENS:
        ids, mask = tuple(map(int, draw.integers(3, VOCABULARY, length))), (0, *(1,) * (length - 1))
        blank = TrainingSequence(ids, mask, (0.0,) * length, 1.0, 0)
        found.append(replace(blank, old_logprobs=(0.0, *whole_forward(model, blank).tolist())))
    return found


def engine_of(folder: Path, tokenizer: PreTrainedTokenizerBase) -> TransformersEngine:
    return TransformersEngine(
        load_model(folder)[0], tokenizer, end_ids=(), max_sessions=8, context_tokens=CONTEXT_TOKENS, turnstile=None,
        forward_tokens=24,
    )  # fmt: skip


def measured(tokenizer: PreTrainedTokenizerBase, folder: Path, found: dict[str, object]) -> None:
    """Act, learn, and be stored, of the model in `folder`; what is seen goes into `found`, as far as it comes."""
    check_named_context("actor", str(folder), CONTEXT_TOKENS)
    plain = load_model(folder)[0]
    trainer = Trainer(load_model(folder)[0], AdamConfig(lr=1e-3), GrpoObjective(), device="cpu")
    with ExitStack() as stack:
        engine = None
        try:
            engine = engine_of(folder, tokenizer)
            stack.callback(engine.close)
        except EngineError as refused:
            found["refusal"] = told(refused)

        def sampled(model: PreTrainedModel) -> list[TrainingSequence]:
            return list(sequences(asyncio.run(play(engine, prompts())))) if engine else imagined(model)

        first = sampled(plain)
        if engine:
            found["engine_nats"] = worst_nats(plain, first)
        batch = [WeightedSequence(each, weight) for each, weight in zip(first, (1.0, -1.0, 0.5, -0.5), strict=True)]
        found["ratio_off"] = abs(trainer.update(batch)["ratio_max"] - 1)
        moved = any(not torch.equal(tensor, plain.state_dict()[key]) for key, tensor in trainer.weights().items())
        if engine:
            engine.load_weights(trainer.weights(), 1)
        second = sampled(trainer.model)
    found["updated"] = moved and worst_nats(trainer.model, second) < TOLERANCE
    save_model(trainer.model, tokenizer, folder)
    found["stored"] = worst_nats(load_model(folder)[0], second) < TOLERANCE


def check(name: str, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Checked:
    """One architecture; `folder` is for what is saved."""
    model = build(name)
    found: dict[str, object] = {"name": name, "model": type(model).__name__}
    try:
        save_model(model, tokenizer, folder)
        measured(tokenizer, folder, found)
    except CrlError as refused:
        return Checked(**found | {"refusal": told(refused).replace(str(folder), name)})
    except Exception as error:  # noqa: BLE001  whatever an architecture raises is its row's result
        return Checked(**found, fault=f"{type(error).__name__}: {error}")
    off = [each for each in ("engine_nats", "ratio_off") if found.get(each, 0.0) > TOLERANCE]
    off += [each for each in ("updated", "stored") if not found[each]]
    return Checked(**found, fault=f"differs: {', '.join(off)}" if off else "")


def run(names: Sequence[str]) -> list[Checked]:
    """One row per architecture."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = train_tokenizer(["go north to the door"], 300)
    rows = []
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(check(name, tokenizer, Path(folder) / "model"))
    return rows


TITLE = "models: architectures at toy size"
HEADINGS = ("architecture", "model", "engine, nats", "ratio - 1", "update", "stored", "vLLM, nats", "result")


def cells(row: Checked, vllm: Mapping[str, str]) -> list[str]:
    """As the table shows them; a dash where a refusal came before, and what was not tried on vLLM."""
    figures = ["-" if value is None else f"{value:.0e}" for value in (row.engine_nats, row.ratio_off)]
    answers = ["-" if value is None else "yes" if value else "no" for value in (row.updated, row.stored)]
    return [row.name, row.model, *figures, *answers, vllm.get(row.name, "-"), row.result]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--only", choices=sorted(MODELS), nargs="+", metavar="NAME", help="architectures (default: all)"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/models.md")
    parser.add_argument("--vllm", type=Path, metavar="FILE", help="rows of benchmarks.models_vllm, for its column")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as a JSON list")
    options = parser.parse_args()
    vllm = {}
    if options.vllm:
        from benchmarks.models_vllm import rows_in  # it builds its models by this module

        vllm = {name: row.result for name, row in rows_in(options.vllm).items()}
    rows = run(options.only or sorted(MODELS))
    lines = [cells(row, vllm) for row in rows]
    print(markdown(HEADINGS, lines)) if options.markdown else print_table(TITLE, HEADINGS, lines)
    write_json(rows, options.json)
    sys.exit(any(row.fault for row in rows))


if __name__ == "__main__":
    main()
