"""A tiny model with opinions, and sessions played from a plan on an engine of either schedule."""

import asyncio
import random
from dataclasses import dataclass

import pytest
import torch

from crl.config.play import ModelConfig
from crl.config.servers import EngineConfig
from crl.engine.kinds import Opening
from crl.engine.protocol import Sampling
from crl.engine.transformers import TransformersEngine
from crl.lockstep import Turnstile
from crl.models.resolve import save_model
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer
from crl.types import Completion

CONTEXT_TOKENS = 96
SHAPE = ModelConfig(hidden_size=64, layers=2, heads=2, context_tokens=CONTEXT_TOKENS)  # vLLM on a CPU: heads of 32

Plans = dict[str, list[tuple[tuple[int, ...], Sampling]]]  # what each session feeds and asks, turn by turn


@dataclass(frozen=True)
class Played:
    """What one session got, in order."""

    completions: tuple[Completion, ...]

    def ids_before(self, turn: int) -> list[int]:
        """The whole context before turn `turn` generated anything."""
        ids: list[int] = []
        for completion in self.completions[:turn]:
            ids += [*completion.prompt_ids, *completion.token_ids]
        return ids + list(self.completions[turn].prompt_ids)


@pytest.fixture(scope="session")
def tokenizer():
    return train_tokenizer([f"go {a} to {b} stop now" for a in ("north", "south") for b in ("door", "key")], 300)


@pytest.fixture(scope="session")
def weights(tokenizer):
    """State of a random model, scaled up so that its choices are not a coin toss."""
    model = build_model(SHAPE, tokenizer, 3)
    return {name: tensor * (1 if "norm" in name else 6) for name, tensor in model.state_dict().items()}


@pytest.fixture
def make_model(tokenizer, weights):
    def make():
        model = build_model(SHAPE, tokenizer, 0)
        model.load_state_dict(weights)
        return model

    return make


@pytest.fixture
def make_engine(tokenizer, make_model):
    engines = []

    def make(turnstile: Turnstile | None = None, max_sessions: int = 8, end_ids=(), **options) -> TransformersEngine:
        engine = TransformersEngine(
            make_model(),
            tokenizer,
            end_ids=end_ids,
            max_sessions=max_sessions,
            context_tokens=CONTEXT_TOKENS,
            turnstile=turnstile,
            **options,
        )
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.close()


@pytest.fixture
def play():
    def run(engine: TransformersEngine, turnstile: Turnstile | None, plans: Plans, shuffle: int = 0):
        return asyncio.run(play_all(engine, turnstile, plans, shuffle))

    return run


async def play_all(engine, turnstile, plans, shuffle) -> dict[str, Played]:
    """Play every session; `shuffle` varies in which order, and how late, the sessions reach the engine."""
    order = sorted(plans)
    delays = random.Random(shuffle)
    delays.shuffle(order)

    async def session(key: str) -> Played:
        completions = []
        async with engine.session(key) as context:
            for turn, (new_ids, sampling) in enumerate(plans[key]):
                for _ in range(delays.randrange(4) if shuffle else 0):
                    await asyncio.sleep(0)
                completions.append(await context.generate(new_ids, sampling, f"{key}/{turn}"))
        return Played(tuple(completions))

    async def take_part(key: str) -> Played:
        if turnstile is None:
            return await session(key)
        with turnstile.participant():
            return await session(key)

    played = await asyncio.gather(*(take_part(key) for key in order))
    return dict(zip(order, played, strict=True))


@pytest.fixture
def reference_logprobs(make_model):
    """log softmax(logits / T) after each prefix of `ids`, from one full forward without any cache: [T, V] float64."""
    model = make_model()

    @torch.inference_mode()
    def compute(ids: list[int], temperature: float) -> torch.Tensor:
        logits_TV = model(input_ids=torch.tensor([ids])).logits[0].double()
        return (logits_TV / (temperature or 1.0)).log_softmax(-1)

    return compute


@pytest.fixture
def reference_logprobs_of(make_model):
    """As `reference_logprobs`, of other weights."""

    @torch.inference_mode()
    def compute(state: dict[str, torch.Tensor], ids: list[int], temperature: float) -> torch.Tensor:
        model = make_model()
        model.load_state_dict(state)
        logits_TV = model(input_ids=torch.tensor([ids])).logits[0].double()
        return (logits_TV / (temperature or 1.0)).log_softmax(-1)

    return compute


@pytest.fixture(scope="session")
def end_id(tokenizer, weights) -> int:
    """A token that the random model often says: whoever samples some dozen tokens meets it."""
    model = build_model(SHAPE, tokenizer, 0)
    model.load_state_dict(weights)
    with torch.inference_mode():
        logits_NV = model(input_ids=torch.tensor([[10, 11, 12] * 8])).logits[0]
    return int(logits_NV.softmax(-1).mean(0).argsort(descending=True)[2])


@pytest.fixture(scope="session")
def opening(tokenizer, weights, end_id, model_folder):
    """What an engine of the random model is opened from."""
    model = build_model(SHAPE, tokenizer, 0)
    model.load_state_dict(weights)
    return Opening(
        role="actor", source=str(model_folder), model=model, tokenizer=tokenizer, end_ids=frozenset({end_id}),
        vocabulary=len(tokenizer), sessions=16, settings=SHAPE, engine=EngineConfig(), device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="session")
def model_folder(tokenizer, weights, tmp_path_factory):
    """The random model on disk, as a run would have it."""
    model = build_model(SHAPE, tokenizer, 0)
    model.load_state_dict(weights)
    save_model(model, tokenizer, folder := tmp_path_factory.mktemp("models") / "actor")
    return folder
