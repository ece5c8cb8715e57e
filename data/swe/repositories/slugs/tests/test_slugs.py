from slugs import slugify


def test_words_are_joined():
    assert slugify("Two  plain words") == "two-plain-words"


def test_accents_are_dropped():
    assert slugify("Caf\u00e9 cr\u00e8me") == "cafe-creme"


def test_long_titles_are_cut_between_words():
    assert slugify("alpha beta gamma", limit=12) == "alpha-beta"
# Hidden from the agent from here on: the task's test patch appends it.


def test_no_hyphen_at_the_end():
    assert slugify("Hello, world!") == "hello-world"


def test_no_hyphen_at_the_beginning():
    assert slugify("(draft) plan") == "draft-plan"


def test_nothing_left():
    assert slugify("?!") == ""
