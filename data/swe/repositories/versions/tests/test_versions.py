import pytest

from versions import newest, sort_key


def test_small_numbers():
    assert newest(["1.2", "1.3", "0.9"]) == "1.3"


def test_pre_releases_among_themselves():
    assert newest(["2.0a1", "2.0rc1", "2.0b3"]) == "2.0rc1"


def test_not_a_version():
    with pytest.raises(ValueError):
        sort_key("latest")
# Hidden from the agent from here on: the task's test patch appends it.


def test_numbers_not_letters():
    assert newest(["1.9", "1.10"]) == "1.10"
    assert newest(["10.0", "9.9.9"]) == "10.0"


def test_a_release_follows_its_candidates():
    assert newest(["2.0", "2.0rc1", "2.0b2"]) == "2.0"


def test_a_candidate_of_the_next_release_is_newer():
    assert newest(["1.9", "2.0a1"]) == "2.0a1"


def test_candidates_by_number():
    assert newest(["2.0rc2", "2.0rc10"]) == "2.0rc10"
