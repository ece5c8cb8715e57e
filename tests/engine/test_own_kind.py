"""An engine and an embedder from a package outside the tree, named in the parameters."""

from pathlib import Path

import numpy as np
import pytest

from crl.config.compose import composed
from crl.embedding.open import open_embedder
from crl.engine.open import open_engine
from crl.engine.protocol import Sampling
from crl.errors import ConfigError
from tests import outside

CONF = Path(__file__).parents[2] / "conf"
TEAM = '''
import numpy as np

from crl.config.engines import EngineKind


class Parrot(EngineKind):
    """Says the last token of the prompt."""

    lockstep = True

    @classmethod
    def open(cls, opening):
        return ParrotEngine(opening.settings.context_tokens)


class ParrotEngine:
    version = 0

    def __init__(self, room):
        self.room = room

    def session(self, key):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc):
        pass

    async def generate(self, new_ids, sampling, request_id):
        return new_ids[-1]


class Letters:
    """A text is the share of each of its letters."""

    name, dim = "letters", 26

    def __init__(self, device):
        self.device = device

    def embed(self, texts, *, one_by_one=False):
        return np.array([[text.count(chr(97 + i)) for i in range(26)] for text in texts], np.float32)
'''


@pytest.fixture(autouse=True)
def _a_teams_package(tmp_path: Path):
    with outside.module("team_of_two", TEAM, tmp_path):
        yield


async def test_an_engine_of_ones_own_is_opened_by_its_name(model_folder):
    config = composed("quick", ["engine.kind=team_of_two:Parrot", "models.actor.context_tokens=96"], CONF)
    assert config.engine.declared.lockstep
    _, chat, engine = open_engine(config, "actor", str(model_folder), sessions=1, turnstile=None)
    async with engine.session("s") as session:
        assert await session.generate(chat.encode("go north"), Sampling(), "r") == chat.encode("go north")[-1]


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (
            ["engine.kind=vlm", "run.schedule=async"],
            r"engine.kind = 'vlm': no such engine. Remedy: did you mean vllm\?",
        ),
        (["engine.kind=team_of_two:Nobody"], r"engine.kind = 'team_of_two:Nobody'.*does not load"),
        (["engine.kind=vllm"], r"engine.kind = 'vllm': the lockstep schedule .* Remedy: run.schedule: async"),
        (["engine.kind=team_of_two:Parrot", "run.schedule=async", "run.task_runner=ray"], "share generation servers"),
    ],
)
def test_what_a_kind_cannot_do_is_refused_before_anything_runs(overrides, fault):
    with pytest.raises(ConfigError, match=fault):
        composed("quick", overrides, CONF)


def test_an_embedder_of_ones_own_is_opened_by_its_name():
    embedder = open_embedder(composed("quick", ["models.embedder=team_of_two:Letters"], CONF))
    assert np.array_equal(embedder.embed(["abba"])[0, :2], [2, 2])
    assert (embedder.name, embedder.device) == ("letters", "cpu")
