#!/usr/bin/env bash
# DVC: one uncached plain output keeps a whole stage out of the run cache; an uncached metric or plot does not.
#
# Version:   dvc 3.67.1 (PyPI), Python 3.11
# Source:    dvc/stage/__init__.py, `Stage.run`: the run is not saved to the run cache when any output that is neither a
#            metric nor a plot is uncached; dvc/stage/cache.py, `_uncached_outs`: the other uncached outputs are stored in it
# Guess:     `cache: false` keeps the file out of the cache, and says nothing about the stage; or: it keeps the stage out,
#            whatever section the file stands in.
# Behaviour: Three stages that write the same two files. Only the section of the uncached one differs. Going back to
#            earlier parameters, `dvc repro` restores the stages with the uncached metric and the uncached plot from the
#            run cache, those files included, although they are "not cached". The stage with the uncached plain output runs
#            again, and its other, cached output is computed again as well.
# Matters:   An expensive stage that also writes a small JSON summary: declared under `outs` with `cache: false`, the hours
#            are spent again; declared under `metrics`, they are not.
# Output seen:
#   plain: ran 3 times
#   metric: ran 2 times, summary restored: n: 1
#   plot: ran 2 times, summary restored: n: 1
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check dvc==3.67.1
export PATH="$work/env/bin:$PATH" DVC_NO_ANALYTICS=1
mkdir "$work/repo" && cd "$work/repo"
git init --quiet && dvc init --quiet

stage() { # NAME SECTION
    cat <<YAML
  $1:
    cmd: echo ran >> $work/$1.log; cp params.yaml $1.model; cp params.yaml $1.summary
    params: [n]
$([ "$2" = outs ] && echo "    outs: [$1.model, $1.summary: {cache: false}]" || printf '    outs: [%s]\n    %s: [%s: {cache: false}]' "$1.model" "$2" "$1.summary")
YAML
}
{ echo "stages:"; stage plain outs; stage metric metrics; stage plot plots; } >dvc.yaml

for n in 1 2 1; do
    echo "n: $n" >params.yaml
    dvc repro --quiet
done

seen=$(
    echo "plain: ran $(wc -l <"$work/plain.log") times"
    for name in metric plot; do
        echo "$name: ran $(wc -l <"$work/$name.log") times, summary restored: $(cat "$name.summary")"
    done
)
expected='plain: ran 3 times
metric: ran 2 times, summary restored: n: 1
plot: ran 2 times, summary restored: n: 1'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
