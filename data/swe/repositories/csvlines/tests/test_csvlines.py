from csvlines import parse, parse_line


def test_plain_fields():
    assert parse_line("a,b,c") == ["a", "b", "c"]
    assert parse_line(",b") == ["", "b"]


def test_quoted_commas():
    assert parse_line('"x,y",z') == ["x,y", "z"]


def test_rows():
    assert parse("a,b\n1,2\n") == [{"a": "1", "b": "2"}]
# Hidden from the agent from here on: the task's test patch appends it.


def test_empty_last_field():
    assert parse_line("a,b,") == ["a", "b", ""]
    assert parse("a,b\n1,\n") == [{"a": "1", "b": ""}]


def test_doubled_quotes():
    assert parse_line('"say ""hi""",x') == ['say "hi"', "x"]


def test_a_field_of_one_quote():
    assert parse_line('a,""""') == ["a", '"']


def test_an_empty_quoted_field():
    assert parse_line('"",b') == ["", "b"]
