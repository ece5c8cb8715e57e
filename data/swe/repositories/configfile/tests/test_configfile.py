from configfile import load


def test_sections():
    assert load("[a]\nx = 1\n[b]\ny=2") == {"a": {"x": "1"}, "b": {"y": "2"}}


def test_comments():
    assert load("[a] # first\n# nothing\nx = 1 # one") == {"a": {"x": "1"}}


def test_defaults_fill_in():
    assert load("[a]\nx = 1", {"x": "0", "z": "9"}) == {"a": {"x": "1", "z": "9"}}
# Hidden from the agent from here on: the task's test patch appends it.


def test_calls_share_nothing():
    load("colour = red\n[a]\nx = 1")
    assert load("[b]\ny = 2") == {"b": {"y": "2"}}


def test_the_callers_defaults_are_not_changed():
    defaults = {"z": "9"}
    load("colour = red\n[a]", defaults)
    assert defaults == {"z": "9"}


def test_keys_above_the_first_section_are_defaults():
    assert load("size = 3\n[m]\nk = v", {"z": "9"}) == {"m": {"size": "3", "k": "v", "z": "9"}}
