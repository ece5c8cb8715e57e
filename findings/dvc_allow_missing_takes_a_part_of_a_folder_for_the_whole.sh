#!/usr/bin/env bash
# DVC: with --pull --allow-missing, a stage that depends on a folder made by several stages runs on the part that is there,
#      and dvc.lock records the part as the whole.
#
# Version:   dvc 3.67.1 (PyPI), Python 3.11
# Guess:     `--pull` fetches what a stage that has to run reads, or the run fails, as it does where all of the folder is missing;
#            `--allow-missing` only passes over data that nobody reads.
# Behaviour: `part@a` and `part@b` put out parts/a and parts/b; `sum` depends on parts/. In a clone without data, after a change of
#            a alone, `dvc repro --pull --allow-missing` runs part@a, passes over part@b without fetching it, and runs `sum` on
#            a folder that holds a alone. It ends with 0, and dvc.lock has the hash of the half folder. With --pull alone, b is
#            fetched and the sum is right.
# Matters:   This is the line that DVC's documentation gives for CI on a clone without data. A dataset in parts, made by a foreach
#            stage and read as a folder, is silently cut down to the parts that changed; a model is trained on it.
# Output seen:
#   --pull --allow-missing: exit 0, summed 5
#   --pull: exit 0, summed 7
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check dvc==3.67.1
export PATH="$work/env/bin:$PATH" DVC_NO_ANALYTICS=1
export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@localhost GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@localhost
mkdir "$work/origin" && cd "$work/origin"
git init --quiet && dvc init --quiet && dvc remote add --quiet -d store "$work/store"
cat >dvc.yaml <<'YAML'
stages:
  part:
    foreach: [a, b]
    do:
      cmd: mkdir -p parts && grep "^${item}:" params.yaml | cut -d " " -f 2 >parts/${item}
      params: ["${item}"]
      outs: ["parts/${item}"]
  sum:
    cmd: cat parts/* | paste -sd+ | bc >total
    deps: [parts]
    outs: [total]
YAML
printf 'a: 1\nb: 2\n' >params.yaml
dvc repro --quiet && dvc push --quiet
git add -A && git commit --quiet -m start

played() { # NAME OPTION...
    git clone --quiet "$work/origin" "$work/$1" && cd "$work/$1"
    sed -i 's/^a: .*/a: 5/' params.yaml
    shift
    code=0
    dvc repro --quiet "$@" >/dev/null 2>&1 || code=$?
    echo "$*: exit $code, summed $(cat total 2>/dev/null || echo nothing)"
}
seen=$(played missing --pull --allow-missing; played pulled --pull)
expected='--pull --allow-missing: exit 0, summed 5
--pull: exit 0, summed 7'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
