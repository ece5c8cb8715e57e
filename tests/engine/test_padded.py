"""Ids without a text are never sampled: transformers."""

import pytest

from crl.engine.kinds import Transformers
from tests.engine import padded


@pytest.fixture
def opening(tokenizer, weights, tmp_path):
    return padded.opening_of(tokenizer, weights, tmp_path / "model")


async def test_no_id_without_a_text_is_sampled(opening):
    engine = Transformers.open(opening)
    await padded.check(engine, opening)
    engine.close()
