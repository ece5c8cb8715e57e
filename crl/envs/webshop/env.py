"""WebShop as a text environment: a shop, an instruction, one purchase."""

import re
from collections.abc import Iterator

from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvError
from crl.envs.family import SkillScript, TaskRequest
from crl.envs.webshop import pages, reward, scripted, tasks
from crl.envs.webshop.site import Page, Site
from crl.tiny.slots.webshop import LAST_WORDS, Shopper, goal_sentence
from crl.types import Outcome, Task

_ACTION = re.compile(r"\s*(search|click)\s*\[(.*)\]\s*", re.IGNORECASE | re.DOTALL)
_QUERY_CHARS = 300  # what a search box takes
SEARCH_FORM = "search[{}]"


class WebShopEnv:
    """A `TextEnv` over one shop. `observation` is "slots" (tiny models) or "grid" (models that read).

    The catalogue and its index are built at the first reset in a process and shared by all instances.
    """

    levels = (tasks.SMALL, "generated-200")

    def __init__(self, observation: str) -> None:
        self._style = observation
        self._task: Task | None = None  # None: no episode is running

    @classmethod
    def task_set(cls, request: TaskRequest) -> Iterator[Task]:
        return tasks.task_set(request)

    @classmethod
    def solution(cls, task: Task) -> tuple[str, ...]:
        actions = tasks.solve(*tasks.decode(task.payload))
        if actions is None:
            raise EnvError(f"{task.id}: its product is not found. Remedy: take tasks from a prepared task set")
        return actions

    @classmethod
    def script(cls, level: str) -> SkillScript:
        return scripted.script()

    def reset(self, task: Task) -> Observation:
        self._task = None  # a goal that cannot be read leaves no episode behind
        shop, self._goal = tasks.decode(task.payload)
        self._task = task
        self._site = Site(shop)
        self._query = tasks.query_of(self._goal.instruction)
        self._shopper = Shopper(self._site, self._goal, self._query)
        self._steps = 0
        tiny = self._style == "slots"
        return self._observe(
            goal=goal_sentence(self._goal) if tiny else self._goal.instruction,
            manual=f"{pages.MANUAL}\nYou have {task.max_steps} steps.",
        )

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise EnvError(f"step({action!r}) without a running episode. Remedy: call reset(task) first")
        done = self._shopper.act(action) if self._style == "slots" else self._act(action)
        if not done:
            return StepResult(self._refusal(action), 0.0, terminated=False, truncated=False, valid=False)
        self._steps += 1
        if self._site.page is Page.DONE:
            return self._bought()
        if self._steps < self._task.max_steps:
            return StepResult(self._observe(), 0.0, terminated=False, truncated=False)
        self._task = None
        return StepResult(
            self._observe(), 0.0, terminated=False, truncated=True, outcome=Outcome.TIMEOUT, info={"score": 0.0}
        )

    def close(self) -> None:
        self._task = None

    def _act(self, action: str) -> bool:
        match = _ACTION.fullmatch(action)
        if match is None:
            return False
        argument = " ".join(match[2].lower().split())
        if match[1].lower() == "search":
            return self._site.search(argument[:_QUERY_CHARS])
        return self._site.click(argument)

    def _bought(self) -> StepResult:
        graded = reward.score(self._goal, self._site.item, self._site.chosen)
        self._task = None
        success = graded.total == 1
        return StepResult(
            Observation(self._last_words(success)),
            reward=float(success),
            terminated=True,
            truncated=False,
            outcome=Outcome.SUCCESS if success else Outcome.DEATH,
            info={
                "score": graded.total,
                "product": self._site.item.id,
                "type_factor": graded.type_factor,
                "attributes": graded.attributes,
                "options": graded.options,
                "price_ok": graded.price_ok,
            },
        )

    def _last_words(self, success: bool) -> str:
        if self._style == "slots":
            return LAST_WORDS[success]
        verdict = "It meets every wish." if success else "It does not meet every wish."
        return f"You bought {self._site.item.id}: {self._site.item.title}. {verdict}"

    def _observe(self, goal: str = "", manual: str = "", notice: str = "") -> Observation:
        if self._style == "slots":
            return Observation(self._shopper.describe(), goal, self._shopper.actions(), manual)
        text = pages.render(self._site, self._goal.instruction)
        if self._site.page is Page.SEARCH:
            return Observation(notice + text, goal, (f"search[{self._query}]",), manual, (SEARCH_FORM,))
        buttons = tuple(f"click[{button}]" for button in self._site.buttons())
        return Observation(notice + text, goal, buttons, manual)

    def _refusal(self, action: str) -> Observation:
        """The page as before; the slots style leaves the feedback to `valid` and the prompt."""
        return self._observe(notice=f"{action[:60]!r} is not possible on this page; nothing changed.\n")
