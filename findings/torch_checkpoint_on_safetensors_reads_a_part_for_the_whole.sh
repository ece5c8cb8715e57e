#!/usr/bin/env bash
# torch.distributed.checkpoint on safetensors: where the file of a worker is missing, loading succeeds, and the rows that it held
#      stay what they were, unless it was the last worker's.
#
# Version:   torch 2.13.0, safetensors 0.8.0 (PyPI), Python 3.11; torch/distributed/checkpoint/hf_storage.py
# Guess:     a tensor that the checkpoint does not cover is an error: loading compares shapes, and a key that is not there raises.
# Behaviour: HuggingFaceStorageReader has no index of its own; it takes as a tensor's size the farthest row that any file holds. So
#            without the last worker's file the sizes differ, and loading raises; without another one they agree, and the rows in the
#            gap are never written, with no error and no warning. And the same state saved twice gives files with other bytes: three
#            entries in the header, in an order that varies (by one entry alone it would not), so a digest tells nothing.
# Matters:   A checkpoint that was copied or pulled in part resumes: with the weights that the model was begun with in a third of each
#            layer, and zeros as the optimiser's moments there.
# Output seen:
#   whole: [3.0, 5.0, 7.0]
#   without worker 3 of 3: ValueError
#   without worker 2 of 3: [3.0, -1.0, 7.0]
#   the same state, saved eight times: 8 files that hold the same, more than one digest
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" torch==2.13.0 safetensors==0.8.0 numpy
cat >"$work/save.py" <<'PYTHON'
import sys

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
from torch.distributed.tensor import Shard, distribute_tensor

rank, folder = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{folder}.meeting", rank=rank, world_size=3)
mesh = dist.init_device_mesh("cpu", (3,))
layer = distribute_tensor(torch.tensor([3.0, 5.0, 7.0]), mesh, [Shard(0)])
for time in range(8):
    dcp.save({"layer": layer}, storage_writer=HuggingFaceStorageWriter(f"{folder}/{time}", save_distributed=True))
dist.barrier()
dist.destroy_process_group()
PYTHON
cat >"$work/load.py" <<'PYTHON'
import sys

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

layer = torch.full((3,), -1.0)
try:
    dcp.load({"layer": layer}, storage_reader=HuggingFaceStorageReader(sys.argv[1]))
    print(layer.tolist())
except dcp.api.CheckpointException as error:
    print(type(error.failures[0][0]).__name__)
PYTHON
cat >"$work/compare.py" <<'PYTHON'
import sys
from hashlib import sha256
from pathlib import Path

from safetensors.torch import load_file

files = sorted(Path(sys.argv[1]).glob("*/shard-00001-*.safetensors"))
same = all(load_file(file)["layer"].equal(load_file(files[0])["layer"]) for file in files)
digests = "more than one digest" if len({sha256(file.read_bytes()).hexdigest() for file in files}) > 1 else "one digest"
print(f"{len(files)} files that hold {'the same' if same else 'other values'}, {digests}")
PYTHON
python="$work/env/bin/python"
for rank in 0 1 2; do "$python" "$work/save.py" $rank "$work/saved" 2>"$work/log.$rank" & done
wait
load() { # NAME [FILE THAT IS MISSING]
    cp -r "$work/saved/0" "$work/$1"
    [ $# -lt 2 ] || rm "$work/$1/$2"-*
    "$python" "$work/load.py" "$work/$1" 2>/dev/null
}
seen="whole: $(load whole)
without worker 3 of 3: $(load last shard-00003)
without worker 2 of 3: $(load middle shard-00002)
the same state, saved eight times: $("$python" "$work/compare.py" "$work/saved")"
expected='whole: [3.0, 5.0, 7.0]
without worker 3 of 3: ValueError
without worker 2 of 3: [3.0, -1.0, 7.0]
the same state, saved eight times: 8 files that hold the same, more than one digest'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
