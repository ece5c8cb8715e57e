"""A model's own list of end tokens, in its generation settings, ends its turns."""

from pathlib import Path

import pytest
import torch

from crl.config.compose import composed
from crl.engine.open import open_engine
from crl.engine.protocol import Sampling
from crl.models.resolve import load_model, save_model, stops_in, stops_of

CONF = Path(__file__).parents[2] / "conf"
PROMPT = (10, 11, 12)


@pytest.fixture
def stops(make_model, tokenizer):
    """Three end tokens; the last is what the model says sixth, greedily."""
    ids = make_model().generate(
        torch.tensor([PROMPT]), do_sample=False, max_new_tokens=6, eos_token_id=None, pad_token_id=5
    )
    return [tokenizer.eos_token_id, 40, ids[0, -1].item()]


@pytest.fixture
def folder(make_model, tokenizer, stops, tmp_path):
    model = make_model()
    model.generation_config.eos_token_id = stops
    save_model(model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


async def test_generation_ends_where_generate_ends_it(folder, stops):
    config = composed("quick", ["run.device=cpu", "models.actor.context_tokens=96"], CONF)
    _, chat, engine = open_engine(config, "actor", str(folder), sessions=1, turnstile=None)
    own = load_model(folder)[0].generate(torch.tensor([PROMPT]), do_sample=False, max_new_tokens=60, pad_token_id=5)
    async with engine.session("s") as session:
        said = await session.generate(PROMPT, Sampling(temperature=0, max_new_tokens=60), "r")
    engine.close()
    assert chat.end_ids == set(stops)
    assert list(said.token_ids) == own[0, len(PROMPT) :].tolist()
    assert (said.token_ids[-1], said.stop_reason) == (stops[-1], "stop")


@pytest.mark.parametrize("listed", [True, False])
def test_a_folder_tells_the_same_as_its_model(folder, stops, listed):
    if not listed:
        (folder / "generation_config.json").unlink()
    expected = set(stops if listed else stops[:1])  # config.json has the tokenizer's alone
    assert stops_in(folder) == expected
    assert stops_of(load_model(folder)[0]) == expected
