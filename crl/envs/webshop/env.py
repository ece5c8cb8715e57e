"""WebShop as a text environment: a shop, an instruction, one purchase."""

import re
from dataclasses import asdict

from crl.envs.contract import Observation, StepResult
from crl.envs.errors import EnvError, not_running
from crl.envs.webshop import pages, reward, shop, tasks
from crl.envs.webshop.catalogue import Goal
from crl.envs.webshop.site import Page, Site
from crl.types import Outcome, Task

_ACTION = re.compile(r"\s*(search|click)\s*\[(.*)\]\s*", re.IGNORECASE | re.DOTALL)
_ANOTHER = re.compile(r"\]\s*(?:search|click)\s*\[", re.IGNORECASE)  # a second call: neither is taken
_QUERY_CHARS = 300  # what a search box takes
SEARCH_FORM = "search[{}]"


class WebShopEnv:
    """A `TextEnv` over one shop.

    The catalogue and its index are built at the first reset in a process and shared by all instances. For wrappers: the
    running episode's `site`, its `goal` and the `query` that the instruction suggests; and `spend_step`.
    """

    levels = (tasks.SMALL, "generated-200")
    forms = (SEARCH_FORM,)
    task_set = staticmethod(tasks.task_set)
    site: Site
    goal: Goal
    query: str

    def __init__(self) -> None:
        self._task: Task | None = None  # None: no episode is running

    @classmethod
    def solution(cls, task: Task) -> tuple[str, ...]:
        actions = tasks.solve(*tasks.decode(task.payload))
        if actions is None:
            raise EnvError(f"{task.id}: its product is not found. Remedy: take tasks from a prepared task set")
        return actions

    def reset(self, task: Task) -> Observation:
        self._task = None  # a goal that cannot be read leaves no episode behind
        reward.fuzzy(), shop.bm25()  # a missing package is told now rather than at the first search
        opened, self.goal = tasks.decode(task.payload)
        self._task = task
        self.site = Site(opened)
        self.query = tasks.query_of(self.goal.instruction)
        self._steps = 0
        return self._observe(goal=self.goal.instruction, manual=f"{pages.MANUAL}\nYou have {task.max_steps} steps.")

    def step(self, action: str) -> StepResult:
        if self._task is None:
            raise not_running(action)
        if not self._act(action):
            notice = f"{action[:60]!r} is not possible on this page; nothing changed.\n"
            return StepResult.refused(self._observe(notice=notice))
        return self.spend_step()

    def spend_step(self) -> StepResult:
        """Count one step of the running episode for what was just done at `site`: how the episode stands."""
        self._steps += 1
        if self.site.page is Page.DONE:
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
        if match is None or _ANOTHER.search(match[2]):
            return False
        argument = " ".join(match[2].lower().split())
        if match[1].lower() == "search":
            return self.site.search(argument[:_QUERY_CHARS])
        return self.site.click(argument)

    def _bought(self) -> StepResult:
        graded = reward.score(self.goal, self.site.item, self.site.chosen)
        self._task = None
        parts = asdict(graded)
        success = graded.total == 1
        verdict = "It meets every wish." if success else "It does not meet every wish."
        return StepResult(
            Observation(f"You bought {self.site.item.id}: {self.site.item.title}. {verdict}"),
            reward=float(success),
            terminated=True,
            truncated=False,
            outcome=Outcome.SUCCESS if success else Outcome.DEATH,
            info={"score": parts.pop("total"), "product": self.site.item.id, **parts},
        )

    def _observe(self, goal: str = "", manual: str = "", notice: str = "") -> Observation:
        text = pages.render(self.site, self.goal.instruction)
        if self.site.page is Page.SEARCH:
            return Observation(notice + text, goal, (f"search[{self.query}]",), manual, (SEARCH_FORM,))
        buttons = tuple(f"click[{button}]" for button in self.site.buttons())
        return Observation(notice + text, goal, buttons, manual)
