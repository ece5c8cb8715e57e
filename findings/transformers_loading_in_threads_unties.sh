#!/usr/bin/env bash
# transformers: two threads that load models at the same moment leave tying of embeddings switched off for the whole process.
#
# Version:   transformers 5.19.0, torch 2.13.0, Python 3.11
# Source:    transformers/initialization.py, `no_tie_weights`: a context manager that replaces a method of `PreTrainedModel`
#            while a model is built, and puts back what it found on entry
# Guess:     loading is safe in threads, or fails loudly; at worst the two models that were being loaded are wrong.
# Behaviour: The second thread enters while the first has the replacement in place, and finds that as "what was there before".
#            The first leaves and puts the original back; the second leaves and puts the replacement back, for good. From then
#            on every model with tied embeddings that is built from its configuration has an output layer of its own,
#            filled with random numbers. Nothing warns.
# Matters:   An evaluation server or a trainer that loads several models side by side gets a later model whose logits are noise.
# Output seen:
#   tied before: True
#   tied after loading in 4 threads: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" transformers==5.19.0 torch==2.13.0
cat >"$work/load.py" <<'PY'
import sys
import threading

from transformers import AutoModelForCausalLM, Qwen2Config, Qwen2ForCausalLM

folder = sys.argv[1]
config = Qwen2Config(
    vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=2, tie_word_embeddings=True,
)


def tied() -> bool:
    model = Qwen2ForCausalLM(config)
    return model.get_output_embeddings().weight is model.get_input_embeddings().weight


print("tied before:", tied())
Qwen2ForCausalLM(config).save_pretrained(folder)
for _ in range(200):  # the first try is enough as a rule
    threads = [threading.Thread(target=AutoModelForCausalLM.from_pretrained, args=(folder,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not tied():
        break
print("tied after loading in 4 threads:", tied())
PY
seen=$(HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 "$work/env/bin/python" "$work/load.py" "$work/model" 2>/dev/null)
expected='tied before: True
tied after loading in 4 threads: False'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
