"""An engine without a model: what its sessions say is up to a program. So a program plays through the one episode loop."""

from collections.abc import Callable

import torch

from crl.engine.protocol import Sampling
from crl.models.chat import ChatFormat
from crl.types import Completion

Speaker = Callable[[str], str]  # what was added to the context -> what is said


class SpokenEngine:
    """`speaker` gives each session, by its key, what speaks in it; a context has `room` tokens."""

    version = 0
    busy_s = 0.0
    tokens = 0  # no model samples any

    def __init__(self, speaker: Callable[[str], Speaker], chat: ChatFormat, room: int) -> None:
        self._speaker, self._chat, self._room = speaker, chat, room

    def session(self, key: str) -> "SpokenSession":
        return SpokenSession(self._speaker(key), self._chat, self._room)

    def load_weights(self, state: dict[str, torch.Tensor], version: int) -> float:
        return 0.0

    def close(self) -> None:
        return None


class SpokenSession:
    """Hears token ids and says token ids, as a model does; all of its log-probs are 0."""

    def __init__(self, speak: Speaker, chat: ChatFormat, room: int) -> None:
        self._speak, self._chat, self.room = speak, chat, room

    async def __aenter__(self) -> "SpokenSession":
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None

    def rewind(self, tokens: int) -> None:
        self.room += tokens

    async def generate(self, new_ids: tuple[int, ...], sampling: Sampling, request_id: str) -> Completion:
        said = self._speak(self._chat.decode(new_ids))
        ids = self._chat.encode(said)
        self.room -= len(new_ids) + len(ids)
        return Completion(request_id, tuple(new_ids), ids, (0.0,) * len(ids), said, "stop", 0)
