"""The repository csvlines: comma-separated lines, with quotes."""

from crl.envs.swe.local.recipe import Edit, Recipe

_SOURCE = '''\
"""Comma-separated lines, with quotes."""


def parse_line(line):
    """The fields of a line. A field in double quotes may hold commas; a doubled quote in it is one quote."""
    fields = []
    field = ""
    quoted = False
    for letter in line:
        if letter == '"':
            quoted = not quoted
        elif letter == "," and not quoted:
            fields.append(field)
            field = ""
        else:
            field += letter
    if field:
        fields.append(field)
    return fields


def parse(text):
    """Rows as dictionaries; the first line names the columns."""
    lines = text.splitlines()
    names = parse_line(lines[0])
    return [dict(zip(names, parse_line(line))) for line in lines[1:]]
'''
_TESTS = """\
from csvlines import parse, parse_line


def test_plain_fields():
    assert parse_line("a,b,c") == ["a", "b", "c"]
    assert parse_line(",b") == ["", "b"]


def test_quoted_commas():
    assert parse_line('"x,y",z') == ["x,y", "z"]


def test_rows():
    assert parse("a,b\\n1,2\\n") == [{"a": "1", "b": "2"}]
"""
_HIDDEN = '''\


def test_empty_last_field():
    assert parse_line("a,b,") == ["a", "b", ""]
    assert parse("a,b\\n1,\\n") == [{"a": "1", "b": ""}]


def test_doubled_quotes():
    assert parse_line('"say ""hi""",x') == ['say "hi"', "x"]


def test_a_field_of_one_quote():
    assert parse_line('a,""""') == ["a", '"']


def test_an_empty_quoted_field():
    assert parse_line('"",b') == ["", "b"]
'''
_ISSUE = '''\
Trailing empty fields disappear, and doubled quotes are lost

parse_line("a,b,") should have three fields, but the empty last one is missing, and then parse() drops the column.
Also "say ""hi""" (a quoted field with doubled quotes) comes out without any quotes.
'''
RECIPE = Recipe(
    name="csvlines",
    split="train",
    difficulty=4,
    issue=_ISSUE,
    files={"csvlines.py": _SOURCE},
    tests=_TESTS,
    hidden=_HIDDEN,
    fails=("test_empty_last_field", "test_doubled_quotes", "test_a_field_of_one_quote"),
    candidates=(
        (
            Edit(
                "csvlines.py",
                ("    for letter in line:\n        if letter == '\"':\n            quoted = not quoted\n"),
                (
                    "    for index, letter in enumerate(line):\n"
                    "        if letter == '\"':\n"
                    "            if not quoted and line[index - 1 : index] == '\"':\n"
                    "                field += '\"'\n"
                    "            quoted = not quoted\n"
                ),
            ),
            Edit(
                "csvlines.py",
                "    if field:\n        fields.append(field)\n    return fields\n",
                "    fields.append(field)\n    return fields\n",
            ),
        ),
        (
            Edit(
                "csvlines.py",
                "    if field:\n        fields.append(field)\n    return fields\n",
                "    fields.append(field)\n    return fields\n",
            ),
        ),
        (
            Edit("csvlines.py", "    for letter in line:\n", "    for letter in line.replace('\"\"', '\"'):\n"),
            Edit(
                "csvlines.py",
                "    if field:\n        fields.append(field)\n    return fields\n",
                "    fields.append(field)\n    return fields\n",
            ),
        ),
        (
            Edit(
                "csvlines.py",
                ("    for letter in line:\n        if letter == '\"':\n            quoted = not quoted\n"),
                (
                    "    for index, letter in enumerate(line):\n"
                    "        if letter == '\"':\n"
                    "            if not quoted and line[index - 1 : index] == '\"':\n"
                    "                field += '\"'\n"
                    "            quoted = not quoted\n"
                ),
            ),
            Edit("csvlines.py", "    if field:\n", "    if field or quoted:\n"),
        ),
    ),
)
