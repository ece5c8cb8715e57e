#!/usr/bin/env bash
# transformers: with LongRoPE a row's log-probs depend on how long the other rows of its batch are, attention mask or not.
#
# Version:   transformers 5.19.0, torch 2.13.0, Python 3.11
# Source:    transformers/modeling_rope_utils.py, `dynamic_rope_update`: one table for the whole forward, chosen by the largest
#            position in it; Phi-3.5 and Phi-4-mini are published with `rope_type: longrope`
# Guess:     the long table is for long sequences: each row gets the table of its own length; padding under a mask changes nothing
#            but rounding.
# Behaviour: One row beyond `original_max_position_embeddings` turns all rows of the batch by the long table. A row of 20 tokens,
#            right-padded and masked, is unchanged beside a row of 40 tokens and has other log-probs beside a row of 100. Keys
#            that were cached before the change of table keep the old one.
# Matters:   Policy-gradient ratios: log-probs at sampling and at training differ with the make-up of micro-batches, in silence,
#            and a gradient accumulated over micro-batches is not that of the batch.
# Output seen:
#   beside a row of 40 tokens, nats off: < 1e-4
#   beside a row of 100 tokens, nats off: > 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" transformers==5.19.0 torch==2.13.0
cat >"$work/mates.py" <<'PY'
import torch
from transformers import Phi3Config, Phi3ForCausalLM

torch.manual_seed(0)
rope = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 16, "long_factor": [1.0 + i for i in range(16)]}
config = Phi3Config(
    vocab_size=64, hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
    max_position_embeddings=256, original_max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    rope_parameters=rope,
)
model = Phi3ForCausalLM(config).eval()
for weights in model.parameters():
    weights.data.mul_(4)  # a model that was just made has no opinions yet
row = torch.randint(3, 64, (20,))


@torch.no_grad()
def beside(length: int) -> torch.Tensor:
    """Log-probs of the row, in a batch with another one of this length (0: alone)."""
    if not length:
        return model(row[None]).logits[0].log_softmax(-1)
    ids, mask = torch.zeros(2, length, dtype=torch.long), torch.ones(2, length, dtype=torch.long)
    ids[0, :20], ids[1], mask[0, 20:] = row, torch.randint(3, 64, (length,)), 0
    return model(ids, attention_mask=mask).logits[0, :20].log_softmax(-1)


for length in (40, 100):
    off = float((beside(length) - beside(0)).abs().max())
    print(f"beside a row of {length} tokens, nats off:", "< 1e-4" if off < 1e-4 else "> 1" if off > 1 else off)
PY
seen=$("$work/env/bin/python" "$work/mates.py" 2>/dev/null)
expected='beside a row of 40 tokens, nats off: < 1e-4
beside a row of 100 tokens, nats off: > 1'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
