import pytest

from templates import MissingValue, render


def test_places_are_filled():
    assert render("Hi {name}!", {"name": "Ada"}) == "Hi Ada!"


def test_missing_values():
    with pytest.raises(MissingValue):
        render("{x}", {})
    assert render("{x}", {}, default="?") == "?"


def test_braces():
    assert render("{{x}} {a}", {"a": 1}) == "{x} 1"
# Hidden from the agent from here on: the task's test patch appends it.


def test_zero_is_a_value():
    assert render("{n} items", {"n": 0}) == "0 items"
    assert render("{n}", {"n": 0}, default="many") == "0"


def test_empty_text_is_a_value():
    assert render("[{s}]", {"s": ""}, default="?") == "[]"


def test_none_falls_back():
    assert render("{s}", {"s": None}, default="?") == "?"
