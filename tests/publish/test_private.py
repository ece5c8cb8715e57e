"""What may go into the world and what may not."""

import pytest

from crl.publish.private import private
from tests.publish.test_publish import SECRETS

PLAIN = [
    "go to open cells, then / and \\ are walls", "n:open e:wall stairs:unseen", "..@..|.d.>\n#.@dd.<", "read /testbed/src/a.py too",
    "secret: wait", "the password is behind the door", "search[honey jar] at $4.99", "key=3 door=4", "see https://example.org/a/b:c",
    "take the task-list-of-the-day", "open drawer 1/2", "the secret: search the walls for a door", "token: give it to the guard",
    "the password: unknown until the guard is asked", "call connect(api_key=settings.KEY)", "clone git@github.com:org/x.git",
    "use version 1.2.3.4", "write to /tmp/x.log", "the basic understanding of doors", "a bearer of good news",
    "token = token.strip()", "secret = os.environ['X']", "read secretary=3", "a:\\ b", "..\\..",
    "tokens: 128", '"eos_token": "<|im_end|>"',
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_texts_of_games_pass(text):
    assert list(private(text)) == []


MORE = {
    "Authorization: Bearer " + "abc123DEF456ghi789": "an access token",
    "Authorization: Basic " + "dXNlcjpwYXNzd29yZA1=": "an access token",
    "HF_TOKEN=" + "somevalue1": "a password",
    "WANDB_API_KEY=" + "0123456789abcdef": "a password",
    "DB_PASSWORD=" + "tigerlily": "a password",
    "pwd=" + "Summer2024": "a password",
    "aws_secret_access_key = " + "abcd/efgh+1234": "a password",
    "token: " + "a1b2c3d4": "a password",
    "the key ASIA" + "ABCDEFGHIJKLMNOP": "an access token",
    "pay with sk_live_" + "0123456789ab": "an access token",
    "npm_" + "abcDEF0123456789abcDEF": "an access token",
    "pypi-" + "AgEIcHlwaS5vcmcCJDU1": "an access token",
    "xapp-" + "1-A0123456789": "an access token",
    "https://hooks.slack.com/services/" + "T00/B00/abc": "an access token",
    "-----BEGIN PGP PRIVATE " + "KEY BLOCK-----": "a private key",
    "open C:\\notes.txt": "a path of a machine",
    "see ~/.ssh/config": "a path of a machine",
    "on \\\\server\\share": "a path of a machine",
    "in /scratch/ann": "a path of a machine",
    "ask 192.168.1.20": "an address in a network",
}


@pytest.mark.parametrize(("text", "kind"), [*SECRETS.items(), *MORE.items()])
def test_what_is_private_is_found_and_not_told(text, kind):
    [place] = private(f"first\n {text}")
    assert place.startswith(kind)
    assert " at 2:" in place
    assert not any(word in place for word in text.split() if len(word) > 9)
