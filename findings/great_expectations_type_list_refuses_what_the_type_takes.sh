#!/usr/bin/env bash
# Great Expectations beside pandas 3: a column of text is of type "str", and is not of a type in the list ["str"].
#
# Version:   great_expectations 1.24.1, pandas 3.1.1 (PyPI), Python 3.11
# Guess:     ExpectColumnValuesToBeInTypeList with one type says what ExpectColumnValuesToBeOfType says of that type.
# Behaviour: it does for numbers. For text (pandas 3's dtype `str`) and for times (`datetime64[us]`) the first fails and the second passes, of the same
#            batch, and both report the same observed type. No name makes the list accept the column of text: of "str", "string", "object" and
#            "StringDtype" each fails, and all of them together.
# Matters:   A list is what one writes to allow both pandas 2's `object` and pandas 3's `str`. The gate then refuses each table, good or bad,
#            and its report shows `str` as observed where `str` was asked for.
# Output seen:
#   i: int64 is int64: of the type True, in a list of it True (observed int64)
#   s: str is str: of the type True, in a list of it False (observed str)
#   t: datetime64[us] is datetime64: of the type True, in a list of it False (observed datetime64)
#   s: in the list of str, string, object, StringDtype: False
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check great_expectations==1.24.1 pandas==3.1.1
cat >"$work/kinds.py" <<'PYTHON'
import great_expectations as gx
import pandas as pd

table = pd.DataFrame({"i": [1, 2], "s": ["north", "south"], "t": pd.to_datetime(["2026-01-01", "2026-01-02"]).as_unit("us")})
source = gx.get_context(mode="ephemeral").data_sources.add_pandas("tables")
batch = source.add_dataframe_asset("one").add_batch_definition_whole_dataframe("all").get_batch({"dataframe": table})
check = gx.expectations
for column, kind in {"i": "int64", "s": "str", "t": "datetime64"}.items():
    one = batch.validate(check.ExpectColumnValuesToBeOfType(column=column, type_=kind))
    listed = batch.validate(check.ExpectColumnValuesToBeInTypeList(column=column, type_list=[kind]))
    assert one.result["observed_value"] == listed.result["observed_value"]
    print(
        f"{column}: {table[column].dtype} is {kind}: of the type {one.success}, in a list of it {listed.success} "
        f"(observed {listed.result['observed_value']})"
    )
names = ["str", "string", "object", "StringDtype"]
found = batch.validate(check.ExpectColumnValuesToBeInTypeList(column="s", type_list=names))
print(f"s: in the list of {', '.join(names)}: {found.success}")
PYTHON
seen=$("$work/env/bin/python" -W ignore "$work/kinds.py" 2>"$work/log" | grep '^[ist]: ')
echo "$seen"
expected='i: int64 is int64: of the type True, in a list of it True (observed int64)
s: str is str: of the type True, in a list of it False (observed str)
t: datetime64[us] is datetime64: of the type True, in a list of it False (observed datetime64)
s: in the list of str, string, object, StringDtype: False'
[ "$seen" = "$expected" ] || { echo "the behaviour has changed"; exit 1; }
