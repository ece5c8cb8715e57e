#!/usr/bin/env bash
# dvc: a temporary file that a killed DVC left in its run cache is read as an entry, and ends every later `repro` of the stage.
#
# Version:   dvc 3.67.1, Python 3.11
# Source:    dvc/stage/cache.py, `StageCache.save` (writes `.<random>.tmp` beside the entries, then renames it) and `_load`
#            (takes the newest name in the folder, whatever it is called)
# Guess:     writing aside and renaming makes a kill or a full disk harmless, as in the rest of DVC's cache; a leftover is ignored.
# Behaviour: The leftover is the newest file, so it is taken for the stage's last run. Half written it ends `repro` with the bare
#            message 'outs' (a KeyError). Empty, as a full disk leaves it, it is called a corrupted cache file and removed, and
#            the stage runs; does it fail then, its folder stays empty, and from now on a TypeError ends `repro`, with the stage
#            mended, too. `dvc gc --workspace` changes neither; the remedy is to remove file and folder by hand.
# Matters:   A pipeline that was killed at the wrong moment never runs again, and nothing in the message names the file.
# Output seen:
#   half written: 255, failed to reproduce 'making': 'outs'
#   half written, after dvc gc --workspace: 255, failed to reproduce 'making': 'outs'
#   empty, the stage fails: 255, failed to run: test ! -e broken && echo made > out
#   empty, the stage mended: 255, join() argument must be str, bytes, or os.PathLike object, not 'NoneType'
#   folder removed by hand: 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" dvc==3.67.1
export PATH="$work/env/bin:$PATH" DVC_NO_ANALYTICS=1
mkdir "$work/repo" && cd "$work/repo"
dvc init -q --no-scm
cat >dvc.yaml <<'YAML'
stages:
  making:
    cmd: test ! -e broken && echo made > out
    deps: [dep]
    outs: [out]
YAML
echo 1 >dep
dvc repro -q
folder=$(dirname .dvc/cache/runs/*/*/*)
rm dvc.lock out "$folder"/*
repro() { # NAME: its exit status, and how its error ends
    code=0
    said=$(dvc repro 2>&1) || code=$?
    error=$(grep -oE "failed to run: [^,]*|join\(\) argument.*|failed to reproduce 'making': 'outs'" <<<"$said" | head -1) || true
    echo "$1: $code${error:+, $error}"
}
seen=$(
    printf 'cmd: test' >"$folder/.Zm9vYmFyYmF6cXV1eA.tmp"
    repro "half written"
    dvc gc --workspace --force -q
    repro "half written, after dvc gc --workspace"
    : >"$folder/.Zm9vYmFyYmF6cXV1eA.tmp"
    touch broken
    repro "empty, the stage fails"
    rm broken
    repro "empty, the stage mended"
    rmdir "$folder"
    repro "folder removed by hand"
)
expected="half written: 255, failed to reproduce 'making': 'outs'
half written, after dvc gc --workspace: 255, failed to reproduce 'making': 'outs'
empty, the stage fails: 255, failed to run: test ! -e broken && echo made > out
empty, the stage mended: 255, join() argument must be str, bytes, or os.PathLike object, not 'NoneType'
folder removed by hand: 0"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
