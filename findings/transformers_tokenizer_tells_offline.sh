#!/usr/bin/env bash
# transformers: a tokenizer that is read and saved says in its files whether the process was offline and where it was read from.
#
# Version:   transformers 5.19.0, tokenizers 0.23.3, Python 3.11
# Source:    transformers/tokenization_utils_base.py, `from_pretrained` and `save_pretrained`: arguments of the call are kept in
#            `init_kwargs`, which is what `tokenizer_config.json` is written from
# Guess:     the saved folder depends on the tokenizer alone; HF_HUB_OFFLINE only forbids downloads, and means nothing for a folder.
# Behaviour: `tokenizer_config.json` gets `is_local` and `local_files_only`, the latter with the value that HF_HUB_OFFLINE implies.
#            The same folder, read and saved with and without the variable, gives different bytes, although nothing is looked up.
# Matters:   Content-addressed stores (DVC, OCI layers, a registry's digests) take equal models for different ones: a run that was
#            made offline, as on a cluster's compute nodes, cannot be reproduced to the byte on a laptop, and caches miss.
# Output seen:
#   online and offline alike: False
#   what differs: local_files_only
#   keys that the first save did not have: is_local, local_files_only
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" transformers==5.19.0 tokenizers==0.23.3
cat >"$work/first.py" <<'PY'
import sys

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"north": 0, "south": 1, "<unk>": 2}, unk_token="<unk>"))
PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>").save_pretrained(sys.argv[1])
PY
cat >"$work/again.py" <<'PY'
import sys

from transformers import PreTrainedTokenizerFast

PreTrainedTokenizerFast.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2])
PY
cat >"$work/compare.py" <<'PY'
import json
import sys
from pathlib import Path

first, online, offline = (json.loads((Path(folder) / "tokenizer_config.json").read_text()) for folder in sys.argv[1:])
print("online and offline alike:", online == offline)
print("what differs:", ", ".join(sorted(key for key in online | offline if online.get(key) != offline.get(key))))
print("keys that the first save did not have:", ", ".join(sorted(online.keys() - first.keys())))
PY
"$work/env/bin/python" "$work/first.py" "$work/first" 2>/dev/null
HF_HUB_OFFLINE=0 "$work/env/bin/python" "$work/again.py" "$work/first" "$work/online" 2>/dev/null
HF_HUB_OFFLINE=1 "$work/env/bin/python" "$work/again.py" "$work/first" "$work/offline" 2>/dev/null
seen=$("$work/env/bin/python" "$work/compare.py" "$work/first" "$work/online" "$work/offline")
expected='online and offline alike: False
what differs: local_files_only
keys that the first save did not have: is_local, local_files_only'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
