"""The search-and-ask tool, for guided episodes only (method 5.2): free episodes never see it, nor its manual.

The actor's question retrieves one experience; the extractor answers with it in hand. The answer comes back as a user
message, masked like every observation; the extractor's completion is a sample of its own.
"""

from dataclasses import dataclass
from typing import Protocol

from crl.config import Config
from crl.engine.protocol import Engine, fits
from crl.extractor.distil import extractor_sampling
from crl.extractor.prompts import extractor_prompts, instructions
from crl.extractor.sentence import reply_text
from crl.models.chat import ChatFormat
from crl.replies.parsing import answer_in
from crl.replies.screening import TextLimits, screen
from crl.replies.thoughts import after_thoughts
from crl.types import AskUse, Experience, stable_id

NOTHING_FOUND = "Nothing that fits your question is known yet."
MAX_ANSWER_CHARS = 4000  # about 1,000 tokens: guidance, not an essay


class Retrieve(Protocol):
    """The read side of the bank."""

    async def retrieve(self, scope: str, text: str, *, key: str, round: int) -> list[Experience]: ...


@dataclass(frozen=True)
class AskTool:
    config: Config
    run_id: str
    retriever: Retrieve
    engine: Engine  # the extractor's
    chat: ChatFormat  # the extractor's

    async def ask(self, query: str, *, scope: str, key: str, round: int) -> AskUse:
        """Answer one question. Without a retrieved experience, or room for it, no model is called. Raises EngineError."""
        found = await self.retriever.retrieve(scope, query, key=key, round=round)
        if not found:
            return AskUse(query, (), None, NOTHING_FOUND)
        entry = found[0]
        prompts = extractor_prompts(self.config.extractor.prompts)
        asked = prompts.ask(query, entry.text)
        prompt_ids = self.chat.open(asked)
        sampling = extractor_sampling(self.config, key, self.config.actor.ask.max_new_tokens)
        async with self.engine.session(key) as session:
            if not fits(session, prompt_ids):
                return AskUse(query, (entry.id,), None, NOTHING_FOUND)
            completion = await session.generate(prompt_ids, sampling, stable_id(self.run_id, key))
        answer = read_answer(reply_text(completion, self.chat, prompts.form), instructions(asked, prompts))
        if answer is None:  # shown nothing, so the episode's outcome says nothing about it: no sample
            return AskUse(query, (entry.id,), None, NOTHING_FOUND)
        return AskUse(query, (entry.id,), completion, answer)


def read_answer(text: str, told: str = "") -> str | None:
    """The last <answer> block after all thoughts, else all that follows them; None if it may not be shown. Never raises.

    `told`: the prompt's instructions, which are no guidance.
    """
    said = after_thoughts(text)
    answer = "" if said is None else answer_in(said, tagged=False)[:MAX_ANSWER_CHARS]
    return answer if screen(answer, TextLimits(1, MAX_ANSWER_CHARS), told) is None else None
