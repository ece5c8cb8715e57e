"""The `slots` style: eight one-word actions and a sentence of fixed layout, for models with a small vocabulary.

    at:search tried:0                                          nothing looked for yet
    at:results page:1/5 rank:3 kind:same wishes:1/3 price:ok   the next result not tried yet
    at:item page:1/5 rank:3 kind:same wishes:1/3 price:maybe options:open details:unread

The environment reads for the model, and no more than the pages opened so far say: on the results the title and the
price range of the next untried product, on an item also its options, after `details` its features and description.
Nothing comes from the reward: `wishes` counts the wished attributes that these texts state word for word.

Each action stands for clicks of the true site: `search` sends the goal's words, `open` and `skip` take the next untried
result, `details` reads both sub-pages, `options` chooses what the goal names and the item offers.
"""

from crl.envs.contract import Observation, StepResult
from crl.envs.webshop.catalogue import Goal, Product
from crl.envs.webshop.env import WebShopEnv
from crl.envs.webshop.goals import offered
from crl.envs.webshop.site import BACK, BUY, NEXT, PER_PAGE, PREVIOUS, TOP_PAGES, Page
from crl.tiny.slots.wrapper import SlotsEnv
from crl.types import Task

ACTIONS = ("search", "open", "skip", "next", "back", "options", "details", "buy")
MOST_WISHES, MOST_OPTIONS = 6, 4  # of a goal, that the words can count; more are not counted


class WebShopSlots(SlotsEnv[WebShopEnv]):
    """The model's hands and eyes on one visit."""

    def begin(self, task: Task, shown: Observation) -> None:
        self._tried: set[str] = set()  # products opened or skipped
        self._read: set[str] = set()  # products whose details were read
        self._searches = 0
        self.goal = goal_sentence(self.env.goal)

    def actions(self) -> tuple[str, ...]:
        """What makes sense now, in a fixed order."""
        return tuple(action for action in ACTIONS if self._possible(action))

    def act(self, action: str) -> StepResult:
        getattr(self, f"_{action}")()
        return self.env.spend_step()

    def _possible(self, action: str) -> bool:
        page = self.env.site.page
        if page is Page.DONE:
            return False
        if page is Page.SEARCH:
            return action == "search"
        if page is Page.RESULTS:
            if action in ("open", "skip"):
                return self._next_untried() is not None
            return action == "back" or (action == "next" and NEXT in self.env.site.buttons())
        if action == "options":
            return self._options_word() == "open"
        if action == "details":
            return self.env.site.item.id not in self._read
        return action in ("back", "buy")

    def _search(self) -> None:
        self._searches += 1
        self.env.site.search(self.env.query)

    def _open(self) -> None:
        product = self._next_untried()
        self._tried.add(product.id)
        self.env.site.click(product.id)

    def _skip(self) -> None:
        self._tried.add(self._next_untried().id)

    def _next(self) -> None:
        self.env.site.click(NEXT)

    def _back(self) -> None:
        self.env.site.click(PREVIOUS if self.env.site.page is Page.ITEM else BACK)

    def _options(self) -> None:
        wanted = offered(self.env.goal, self.env.site.item)
        for button, (option, value) in self.env.site.labels().items():
            if wanted.get(option) == value:
                self.env.site.click(button)

    def _details(self) -> None:
        for page in ("features", "description"):
            self.env.site.click(page)
            self.env.site.click(PREVIOUS)
        self._read.add(self.env.site.item.id)

    def _buy(self) -> None:
        self.env.site.click(BUY)

    # The sentence

    def sentence(self) -> str:
        site = self.env.site
        if site.page is Page.SEARCH:
            return f"at:search tried:{min(self._searches, _MOST_SEARCHES)}"
        if site.page is Page.RESULTS:
            return f"at:results {self._page()} {self._result_words()}"
        item, details = site.item, "read" if site.item.id in self._read else "unread"
        known = f"{self._rank(item)} {self._about(item)} options:{self._options_word()} details:{details}"
        return f"at:item {self._page()} {known}"

    def _page(self) -> str:
        return f"page:{self.env.site.page_number}/{self.env.site.pages}"

    def _result_words(self) -> str:
        product = self._next_untried()
        return "rank:none" if product is None else f"{self._rank(product)} {self._about(product)}"

    def _rank(self, product: Product) -> str:
        return f"rank:{self.env.site.listed.index(product) + 1}"

    def _about(self, product: Product) -> str:
        words = product.title.lower().split()
        same = all(any(word in own for own in words) for word in self.env.goal.query.split())
        wanted, met = self.env.goal.attributes[:MOST_WISHES], self._wishes(product)
        return f"kind:{'same' if same else 'other'} wishes:{met}/{len(wanted)} price:{self._price_word(product)}"

    def _wishes(self, product: Product) -> int:
        """How many wished attributes the texts read so far state."""
        texts = [product.title]
        if product.id in self._read:
            texts += [*product.bullets, product.description]
        text = "\n".join(texts).lower()
        return sum(wish.lower() in text for wish in self.env.goal.attributes[:MOST_WISHES])

    def _price_word(self, product: Product) -> str:
        """`maybe`: it depends on options, and those that the goal names are not known to be chosen."""
        low, high = product.price_range
        if self.env.site.page is Page.ITEM and self._options_word() in ("set", "none"):
            low = high = product.price_cents(self.env.site.chosen)
        upper = self.env.goal.price_upper_cents
        return "ok" if high <= upper else "high" if low > upper else "maybe"

    def _options_word(self) -> str:
        """none: the goal names none; missing: one is not offered; open: not chosen; set: chosen."""
        if not self.env.goal.options:
            return "none"
        wanted = offered(self.env.goal, self.env.site.item)
        if len(wanted) < len(self.env.goal.options):
            return "missing"
        return "set" if wanted.items() <= self.env.site.chosen.items() else "open"

    def _next_untried(self) -> Product | None:
        return next((product for product in self.env.site.listed if product.id not in self._tried), None)


_MOST_SEARCHES = 3


def goal_sentence(goal: Goal) -> str:
    """What is asked, in words of the vocabulary: the wishes themselves the environment keeps in mind."""
    return _sentence(min(len(goal.attributes), MOST_WISHES), min(len(goal.options), MOST_OPTIONS))


def goal_sentences() -> tuple[str, ...]:
    """All that `goal_sentence` can say."""
    return tuple(
        _sentence(wishes, options) for wishes in range(1, MOST_WISHES + 1) for options in range(MOST_OPTIONS + 1)
    )


def _sentence(wishes: int, options: int) -> str:
    return f"webshop: buy with {wishes} wishes {options} options within price"


def words() -> tuple[str, ...]:
    """Every word of the sentences."""
    return (
        *(f"at:{page}" for page in ("search", "results", "item")),
        *(f"tried:{count}" for count in range(_MOST_SEARCHES + 1)),
        *(f"page:{number}/{all_}" for all_ in range(1, TOP_PAGES + 1) for number in range(1, all_ + 1)),
        *(f"rank:{rank}" for rank in (*range(1, PER_PAGE + 1), "none")),
        *(f"kind:{kind}" for kind in ("same", "other")),
        *(f"wishes:{met}/{all_}" for all_ in range(1, MOST_WISHES + 1) for met in range(all_ + 1)),
        *(f"price:{word}" for word in ("ok", "high", "maybe")),
        *(f"options:{word}" for word in ("none", "missing", "open", "set")),
        *(f"details:{word}" for word in ("read", "unread")),
        "success",
        "death",
    )
