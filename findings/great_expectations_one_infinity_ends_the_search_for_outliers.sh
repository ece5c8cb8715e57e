#!/usr/bin/env bash
# Great Expectations: one infinite value makes the check for outliers pass, for itself and for all others.
#
# Version:   great_expectations 1.24.1, pandas 3.1.1 (PyPI), Python 3.11
# Guess:     ExpectColumnValueZScoresToBeLessThan finds a value of 50 among standard normal ones, and an infinity all the more; or it raises.
# Behaviour: with +inf or -inf in the column the mean is infinite and the deviation not a number, so is every z-score, and a comparison with it is
#            never true: success, 0 unexpected values, no exception. The 50, found without it, passes too. A missing value (NaN) does no such harm.
# Matters:   A diverged loss or an overflowed ratio is what such a gate is for, and from its first infinity on the gate finds nothing any more.
# Output seen:
#   normal values and a 50: success False, 1 unexpected
#   and a NaN: success False, 1 unexpected
#   and an infinity: success True, 0 unexpected, raised False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check great_expectations==1.24.1 pandas==3.1.1
cat >"$work/outliers.py" <<'PYTHON'
import great_expectations as gx
import numpy as np
import pandas as pd

values = np.append(np.random.default_rng(0).normal(size=200), 50.0)
source = gx.get_context(mode="ephemeral").data_sources.add_pandas("tables")
check = gx.expectations.ExpectColumnValueZScoresToBeLessThan(column="loss", threshold=3, double_sided=True)
for name, more in {"normal values and a 50": [], "and a NaN": [np.nan], "and an infinity": [np.inf]}.items():
    table = pd.DataFrame({"loss": np.append(values, more)})
    batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
    found = batch.validate(check)
    raised = f", raised {found.exception_info['raised_exception']}" if found.success else ""
    print(f"{name}: success {found.success}, {found.result['unexpected_count']} unexpected{raised}")
PYTHON
seen=$("$work/env/bin/python" -W ignore "$work/outliers.py" 2>"$work/log" | grep ': success')
echo "$seen"
expected='normal values and a 50: success False, 1 unexpected
and a NaN: success False, 1 unexpected
and an infinity: success True, 0 unexpected, raised False'
[ "$seen" = "$expected" ] || { echo "the behaviour has changed"; exit 1; }
