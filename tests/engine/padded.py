"""A model whose table of embeddings is longer than its tokenizer's vocabulary, and that prefers what has no text."""

import asyncio

import pytest
import torch

from crl.config.servers import EngineConfig
from crl.engine.kinds import Opening
from crl.engine.protocol import Engine, Sampling
from crl.models.resolve import ids_without_text, save_model, vocabulary_of
from crl.tiny.model import build_model
from tests.engine.conftest import SHAPE

PADDING = 24
PROMPT = (10, 11, 12)
SAMPLINGS = [
    *(Sampling(seed=seed, max_new_tokens=16) for seed in range(6)),
    Sampling(temperature=0, max_new_tokens=16),
    Sampling(temperature=0.7, top_k=3, top_p=0.9, max_new_tokens=16),
]


def opening_of(tokenizer, weights, folder) -> Opening:
    """Of a padded model, whose padding has most of the probability."""
    model = build_model(SHAPE, tokenizer, 0)
    model.load_state_dict(weights)
    known = len(tokenizer)
    model.resize_token_embeddings(known + PADDING, mean_resizing=False)
    with torch.no_grad():
        table = model.get_output_embeddings().weight
        table[known:] = 3 * table[:PADDING]
    save_model(model, tokenizer, folder)
    assert ids_without_text(tokenizer, vocabulary_of(model)) == list(range(known, known + PADDING))
    return Opening(
        role="actor", source=str(folder), model=model, tokenizer=tokenizer, end_ids=frozenset(),
        vocabulary=known + PADDING, sessions=16, settings=SHAPE, engine=EngineConfig(), device="cpu",
    )  # fmt: skip


async def check(engine: Engine, opening: Opening) -> None:
    """No id without a text is sampled, and the log-probs are of all ids: the trainer's, too."""

    async def ask(number: int, sampling: Sampling):
        async with engine.session(f"s{number}") as session:
            return await session.generate(PROMPT, sampling, f"r{number}")

    answers = await asyncio.gather(*(ask(number, sampling) for number, sampling in enumerate(SAMPLINGS)))
    known = len(opening.tokenizer)
    of_padding = []
    for sampling, answer in zip(SAMPLINGS, answers, strict=True):
        assert max(answer.token_ids) < known
        with torch.inference_mode():
            logits_TV = opening.model(input_ids=torch.tensor([[*PROMPT, *answer.token_ids]])).logits[0].double()
        logprobs_TV = (logits_TV / (sampling.temperature or 1.0)).log_softmax(-1)[len(PROMPT) - 1 : -1]
        expected = [row[token].item() for row, token in zip(logprobs_TV, answer.token_ids, strict=True)]
        assert answer.logprobs == pytest.approx(expected, abs=2e-5)
        of_padding += logprobs_TV[:, known:].exp().sum(-1).tolist()
    assert sum(of_padding) / len(of_padding) > 0.5  # so an engine that sampled it would have been seen
