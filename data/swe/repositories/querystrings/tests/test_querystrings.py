from querystrings import build_query, parse_query


def test_names_and_values():
    assert parse_query("a=1&b=x%20y") == {"a": ["1"], "b": ["x y"]}


def test_building():
    assert build_query({"a": ["1", "2"], "b": ["x y"]}) == "a=1&a=2&b=x%20y"
# Hidden from the agent from here on: the task's test patch appends it.


def test_repeated_names():
    assert parse_query("tag=a&tag=b&x=1") == {"tag": ["a", "b"], "x": ["1"]}


def test_nothing():
    assert parse_query("") == {}
    assert parse_query("a=1&&") == {"a": ["1"]}


def test_there_and_back():
    values = {"q": ["a&b", "c=d"], "p": [""]}
    assert parse_query(build_query(values)) == values


def test_a_name_without_a_value():
    assert parse_query("flag") == {"flag": [""]}
