"""What may go into the world and what may not."""

import pytest

from crl.publish.private import private
from tests.publish.test_publish import SECRETS

PLAIN = [
    "go to open cells, then / and \\ are walls", "n:open e:wall stairs:unseen", "..@..|.d.>\n#.@dd.<", "read /testbed/src/a.py too",
    "secret: wait", "the password is behind the door", "search[honey jar] at $4.99", "key=3 door=4", "see https://example.org/a/b:c",
    "take the task-list-of-the-day", "open drawer 1/2",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_texts_of_games_pass(text):
    assert list(private(text)) == []


@pytest.mark.parametrize(("text", "kind"), SECRETS.items())
def test_what_is_private_is_found_and_not_told(text, kind):
    [place] = private(f"first\n {text}")
    assert place.startswith(kind)
    assert " at 2:" in place
    assert not any(word in place for word in text.split() if len(word) > 9)
