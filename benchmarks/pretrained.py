"""Rollouts of a real chat model, SmolLM2-135M-Instruct: the engine of this library, `transformers.generate`, vLLM.

    crl models fetch smollm2-135m-instruct
    python -m benchmarks.pretrained [--repeats N] [--json FILE]

32 episodes of 8 turns begin with a manual of 300 tokens that all share; each turn shows 40 tokens of the episode's own and samples
24, in float32. Texts are pages of docs/, and nobody ends a turn earlier, so that all sides compute the same lengths.

`rollout_vs_generate`: sampled tokens per second against batched `generate`, which is fed the whole history in each turn.
`rollout_vs_vllm`: against vLLM by its Python interface (`engine.kind: vllm`), compiled, its prefix cache on.
`rollout_vs_vllm_server`: against a vLLM server on this machine.
`bfloat16_vs_float32`: this engine in both number types, for `models.<role>.dtype`.
`lora_sync`: seconds until a running vLLM server has a new adapter (rank 16, all linear layers), against all weights.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging

from benchmarks.common import Row, main, measure_interleaved, row
from benchmarks.vllm import served
from crl.config.learn import LoraConfig
from crl.config.play import ModelConfig
from crl.config.servers import EngineConfig
from crl.engine.kinds import Opening, Server, Transformers, Vllm
from crl.engine.protocol import Engine, Sampling
from crl.models.adapter import add_adapter, moving_weights
from crl.models.resolve import load_model, vocabulary_of
from crl.models.shelf import located
from crl.types import Completion

MODEL = "smollm2-135m-instruct"
PAGES = Path(__file__).parents[1] / "docs"
LORA = LoraConfig(rank=16)
TEMPERATURE = 0.7
ENGINE = EngineConfig(kind="vllm", cpu_cache_gib=2)  # room for all contexts


@dataclass(frozen=True)
class Shape:
    """Lengths in tokens."""

    episodes: int = 32
    turns: int = 8
    manual: int = 300
    shown: int = 40
    new: int = 24

    @property
    def context(self) -> int:
        return self.manual + self.turns * (self.shown + self.new) + 1

    def texts(self, tokenizer: PreTrainedTokenizerBase, play: int) -> list[list[tuple[int, ...]]]:
        """What each episode is shown, by turn, the manual first. No two plays show the same: caches would know it."""
        text = "\n".join(page.read_text() for page in sorted(PAGES.glob("*.md")))
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        manual, rest = ids[: self.manual], ids[self.manual :]
        steps = range(self.episodes * self.turns)
        starts = [(play * 7 + number * self.shown) % (len(rest) - self.shown) for number in steps]
        pieces = [tuple(rest[start : start + self.shown]) for start in starts]
        episodes = [pieces[number :: self.episodes] for number in range(self.episodes)]
        return [[(*manual, *first), *more] for first, *more in episodes]


@dataclass
class Rollouts:
    """`completions` are of what was played last: [episode][turn]."""

    shape: Shape
    tokenizer: PreTrainedTokenizerBase
    completions: Sequence[Sequence[Completion]] = ()
    plays: int = 0

    def play(self, engine: Engine) -> float:
        """Sampled tokens per second."""
        texts, new = self.shape.texts(self.tokenizer, self.plays), self.shape.new
        self.plays += 1

        async def episode(number: int) -> list[Completion]:
            said = []
            async with engine.session(f"e{number}") as session:
                for turn, shown in enumerate(texts[number]):
                    sampling = Sampling(temperature=TEMPERATURE, max_new_tokens=new, seed=1000 * number + turn)
                    said.append(await session.generate(shown, sampling, f"e{number}/{turn}"))
            return said

        async def everyone() -> list[list[Completion]]:
            return await asyncio.gather(*(episode(number) for number in range(self.shape.episodes)))

        began = time.perf_counter()
        self.completions = asyncio.run(everyone())
        return self._tokens / (time.perf_counter() - began)

    def generate(self, model: torch.nn.Module) -> float:
        """The same by `generate`, a call for each turn with the histories of the last play, which are of one length."""
        began = time.perf_counter()
        for turn in range(self.shape.turns):
            ids = torch.tensor([before(said, turn) for said in self.completions])
            model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=TEMPERATURE, top_k=0, top_p=1.0,
                min_new_tokens=self.shape.new, max_new_tokens=self.shape.new, pad_token_id=0,
            )  # fmt: skip
        return self._tokens / (time.perf_counter() - began)

    @property
    def _tokens(self) -> int:
        return self.shape.episodes * self.shape.turns * self.shape.new


def before(said: Sequence[Completion], turn: int) -> list[int]:
    """All ids that stand before a turn's reply."""
    pieces = [(*completion.prompt_ids, *completion.token_ids) for completion in said[:turn]]
    return [*chain.from_iterable(pieces), *said[turn].prompt_ids]


def opening(
    source: str,
    shape: Shape,
    dtype: str = "float32",
    lora: LoraConfig | None = None,
    url: str = "",
    engine: EngineConfig = ENGINE,
) -> Opening:
    """Nothing ends a turn: all replies are of one length."""
    model, tokenizer = load_model(source, dtype)
    if lora:
        add_adapter(model, lora, field="lora", source=source, seed=0)
    return Opening(
        role="actor", source=source, model=model, tokenizer=tokenizer,
        end_ids=frozenset(), vocabulary=vocabulary_of(model), sessions=shape.episodes,
        settings=ModelConfig(context_tokens=shape.context, dtype=dtype),
        engine=engine, device="cpu", urls=(url,) if url else (), lora=lora,
    )  # fmt: skip


def address(source: str, shape: Shape, folder: Path, lora: LoraConfig | None = None) -> AbstractContextManager[str]:
    return served(source, folder, ENGINE, ModelConfig(context_tokens=shape.context), "cpu", lora)


def rollouts(source: str, shape: Shape, folder: Path, repeats: int) -> list[Row]:
    with ExitStack() as stack:

        def opened(kind: type, **more: str) -> Engine:
            return stack.enter_context(closing(kind.open(opening(source, shape, **more))))

        ours = opened(Transformers)
        model, tokenizer = load_model(source)
        plays = Rollouts(shape, tokenizer)
        plays.play(ours)  # `generate` replays it
        sides = {
            "ours": partial(plays.play, ours),
            "bfloat16": partial(plays.play, opened(Transformers, dtype="bfloat16")),
            "generate": partial(plays.generate, model),
            "vllm": stack.enter_context(vllm_apart(source, shape)),
        }
        rates = measure_interleaved(sides, repeats, warmups=0)
        server = opened(Server, url=stack.enter_context(address(source, shape, folder)))
        sides = {"ours": partial(plays.play, ours), "server": partial(plays.play, server)}
        beside = measure_interleaved(sides, repeats)
    return [
        row("rollout_vs_generate", rates["ours"], rates["generate"], unit="tokens/s"),
        row("rollout_vs_vllm", rates["ours"], rates["vllm"], unit="tokens/s"),
        row("rollout_vs_vllm_server", beside["ours"], beside["server"], unit="tokens/s"),
        row("bfloat16_vs_float32", rates["bfloat16"], rates["ours"], unit="tokens/s"),
    ]


@contextmanager
def vllm_apart(source: str, shape: Shape) -> Iterator[Callable[[], float]]:
    """vLLM in a process of its own: it binds the threads of its process to cores, those of other engines, too."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        pool.submit(_open_vllm, source, shape).result()
        yield lambda: pool.submit(_play_vllm).result()


def _open_vllm(source: str, shape: Shape) -> None:
    given = opening(source, shape)
    _APART.append((Rollouts(shape, given.tokenizer), Vllm.open(given)))


def _play_vllm() -> float:
    (plays, engine) = _APART[0]
    return plays.play(engine)


_APART: list[tuple[Rollouts, Engine]] = []  # of the process that `vllm_apart` starts


def sync(source: str, shape: Shape, folder: Path, repeats: int) -> Row:
    """A server that takes adapters and one that takes weights, one after the other: two would share the cores."""
    adapters, weights = (
        updates(source, shape, folder / name, lora, repeats) for name, lora in (("a", LORA), ("w", None))
    )
    return row("lora_sync", adapters, weights, unit="s")


def updates(source: str, shape: Shape, folder: Path, lora: LoraConfig | None, repeats: int) -> list[float]:
    with address(source, shape, folder, lora) as url:
        given = opening(source, shape, lora=lora, url=url)
        engine = Server.open(given)
        state = {key: tensor.detach().clone() for key, tensor in moving_weights(given.model).items()}
        seconds = [engine.load_weights(state, version) for version in range(1, repeats + 2)]
        engine.close()
    return seconds[1:]


def run(repeats: int) -> list[Row]:
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        source, shape = located(MODEL), Shape()
        return [*rollouts(source, shape, Path(folder), repeats), sync(source, shape, Path(folder), max(repeats, 3))]


if __name__ == "__main__":
    main("pretrained: rollouts of SmolLM2-135M-Instruct", run, repeats=1)
