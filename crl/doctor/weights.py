"""Whether a model acts, learns and is stored here: tried with its weights on short texts, on the CPU and in float32."""

import asyncio
import timeit
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import PreTrainedModel

from crl.doctor.finding import Finding
from crl.engine.protocol import Engine, Sampling
from crl.engine.transformers import TransformersEngine
from crl.errors import CrlError
from crl.learn.collate import Denominators, collate, rows_of
from crl.learn.scoring import TokenScorer
from crl.learn.sequences import TrainingSequence, WeightedSequence
from crl.models.chat import ChatFormat, Message
from crl.models.resolve import load_model, save_model, stops_of
from crl.types import Completion

NEW_TOKENS = 6  # of each turn that is played
# Nats, and of the ratio. Float32 leaves 7e-5 with a model of 24 layers; a difference of kind is 0.1 and more.
TOLERANCE = 1e-3
_OPENINGS = ("Go.", "A box stands to your left.")  # of unlike lengths, and short: a CPU has a minute for 0.5 B
_Turns = Sequence[tuple[int, ...]]  # what each turn of a session adds, in token ids


def weights_of(folder: Path, arguments: Mapping[str, bool | int | float | str]) -> Iterator[Finding]:
    """What acting, learning and storing would do with the weights of a folder whose conversations are in order."""
    try:
        yield from _tried(folder, arguments)
    except CrlError as refused:
        yield Finding.refused(refused, "a model that runs here", "weights")
    except Exception as error:  # noqa: BLE001  whatever an architecture raises is what a run would meet
        remedy = "another model; report this with its architecture's name"
        yield Finding("fail", f"{type(error).__name__}: {error}", "a model that runs here", remedy, "weights")


def _tried(folder: Path, arguments: Mapping[str, bool | int | float | str]) -> Iterator[Finding]:
    model, tokenizer = load_model(folder)
    talk = ChatFormat(tokenizer, stops_of(model), arguments)
    prompts = [_conversation(talk, text) for text in _OPENINGS]
    room = max(sum(map(len, turns)) + len(turns) * NEW_TOKENS for turns in prompts)
    engine = TransformersEngine(
        model, tokenizer, end_ids=talk.end_ids, max_sessions=len(prompts), context_tokens=room, turnstile=None
    )
    yield number_type(model.config.get_text_config().hidden_size)
    with closing(engine):
        found = list(sequences(asyncio.run(play(engine, prompts))))
    yield _measured(
        "log-probs", "the engine's log-probs, from a whole forward's", worst_nats(model, found), "another engine.kind"
    )
    yield _measured(
        "ratio", "the first update's ratio on unchanged weights, from 1", ratio_off(model, found), "another model"
    )
    with TemporaryDirectory() as place:
        save_model(model, tokenizer, Path(place) / "model")
        del model, engine  # a second one beside it would ask for twice the memory
        stored, _ = load_model(Path(place) / "model")
        yield _measured(
            "storing",
            "log-probs of what is saved and loaded, from those before",
            worst_nats(stored, found[:1]),  # a weight that was lost shows in any text, and a forward takes seconds
            "another model",
        )


def number_type(width: int) -> Finding:
    """How fast this CPU multiplies in bfloat16, which halves the memory: some have instructions for it, and others emulate it."""

    def products_s(dtype: torch.dtype) -> float:
        tokens, matrix = torch.ones(256, width, dtype=dtype), torch.ones(width, 4 * width, dtype=dtype)
        return min(timeit.repeat(lambda: tokens @ matrix, number=4, repeat=3))

    speed = products_s(torch.float32) / products_s(torch.bfloat16)
    better = "bfloat16" if speed > 1.3 else "float32"
    seen = (
        f"products in bfloat16 are {speed:.2g} times as fast as in float32 on this CPU: models.<role>.dtype: {better}"
    )
    return Finding("ok", seen, check="number type")


async def play(engine: Engine, prompts: Sequence[_Turns]) -> list[list[Completion]]:
    """Every session's completions, in turn; the sessions run at once."""

    async def session(index: int, turns: _Turns) -> list[Completion]:
        async with engine.session(str(index)) as context:
            return [
                await context.generate(new_ids, Sampling(max_new_tokens=NEW_TOKENS, seed=index), f"{index}/{turn}")
                for turn, new_ids in enumerate(turns)
            ]

    return await asyncio.gather(*(session(*each) for each in enumerate(prompts)))


def sequences(played: Sequence[Sequence[Completion]]) -> Iterator[TrainingSequence]:
    """One of each session: what was sampled is trainable."""
    for completions in played:
        ids = [index for each in completions for index in (*each.prompt_ids, *each.token_ids)]
        mask = [m for each in completions for m in (*[0] * len(each.prompt_ids), *[1] * len(each.token_ids))]
        logprobs = [p for each in completions for p in (*[0.0] * len(each.prompt_ids), *each.logprobs)]
        yield TrainingSequence(tuple(ids), tuple(mask), tuple(logprobs), 1.0, completions[0].version)


@torch.inference_mode()
def whole_forward(model: PreTrainedModel, sequence: TrainingSequence) -> torch.Tensor:
    """Log-probs of the trainable tokens, [M], from one forward without a cache."""
    ids = torch.tensor([sequence.input_ids])
    logprobs = model(input_ids=ids, use_cache=False).logits[0, :-1].double().log_softmax(-1)
    chosen = logprobs.gather(-1, ids[0, 1:, None]).squeeze(-1)
    return chosen[torch.tensor(sequence.loss_mask[1:], dtype=torch.bool)]


def worst_nats(model: PreTrainedModel, found: Sequence[TrainingSequence]) -> float:
    """How far the log-probs of `found` are from whole forwards of `model`, at most."""
    apart = 0.0
    for sequence in found:
        own = torch.tensor([p for p, m in zip(sequence.old_logprobs, sequence.loss_mask, strict=True) if m])
        apart = max(apart, float((own.double() - whole_forward(model, sequence)).abs().max()))
    return apart


@torch.no_grad()
def ratio_off(model: PreTrainedModel, found: Sequence[TrainingSequence]) -> float:
    """The largest |ratio - 1| that the trainer would see: its own log-probs of one batch against the engine's."""
    batch = [WeightedSequence(sequence, 1.0) for sequence in found]
    part = collate(rows_of(batch), Denominators.of(batch), "token", device=model.device)
    logprobs, _ = TokenScorer(model)(part.input_ids, part.rows, part.targets, part.temperatures)
    return float(((logprobs - part.old_logprobs).exp() - 1).abs().max())


def _conversation(talk: ChatFormat, text: str) -> _Turns:
    opening = talk.open([Message("system", "Act."), Message("user", text)])
    return opening, talk.reply([Message("user", "No.")], talk.closing)


def _measured(check: str, what: str, apart: float, instead: str) -> Finding:
    if apart <= TOLERANCE:  # a NaN is not
        return Finding("ok", f"{what}: {apart:.0e} apart", check=check)
    remedy = f"{instead}; report this with its architecture's name"
    return Finding("fail", f"{what}: {apart:.2g} apart", f"at most {TOLERANCE:g}", remedy, check)
