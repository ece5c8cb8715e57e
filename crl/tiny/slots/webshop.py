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

import itertools

from crl.envs.contract import Observation, StepResult
from crl.envs.webshop.catalogue import Product
from crl.envs.webshop.env import WebShopEnv
from crl.envs.webshop.goals import offered
from crl.envs.webshop.site import BACK, BUY, NEXT, PER_PAGE, PREVIOUS, TOP_PAGES, Page
from crl.tiny.slots.wrapper import SlotsEnv
from crl.types import Task

ACTIONS = ("search", "open", "skip", "next", "back", "options", "details", "buy")
MOST_WISHES, MOST_OPTIONS = 6, 4  # of a goal, that the words can count; more are not counted
_MOST_SEARCHES = 3  # likewise


class WebShopSlots(SlotsEnv[WebShopEnv]):
    """The model's hands and eyes on one visit."""

    def begin(self, task: Task, shown: Observation) -> None:
        self._tried: set[str] = set()  # products opened or skipped
        self._read: set[str] = set()  # products whose details were read
        self._searches = 0
        self.goal = goal_sentence(len(self.env.goal.attributes), len(self.env.goal.options))

    def actions(self) -> tuple[str, ...]:
        """What makes sense now, in a fixed order."""
        site = self.env.site
        match site.page:
            case Page.SEARCH:
                return ("search",)
            case Page.RESULTS:
                untried = () if self._next_untried() is None else ("open", "skip")
                return (*untried, *(("next",) if NEXT in site.buttons() else ()), "back")
            case Page.ITEM:
                options = ("options",) if self._options_word() == "open" else ()
                return ("back", *options, *(() if site.item.id in self._read else ("details",)), "buy")
        return ()

    def act(self, action: str) -> StepResult:
        site, product = self.env.site, self._next_untried()
        match action:
            case "search":
                self._searches += 1
                site.search(self.env.query)
            case "open":
                self._tried.add(product.id)
                site.click(product.id)
            case "skip":
                self._tried.add(product.id)
            case "next":
                site.click(NEXT)
            case "back":
                site.click(PREVIOUS if site.page is Page.ITEM else BACK)
            case "options":
                wanted = offered(self.env.goal, site.item)
                for button, (option, value) in site.labels().items():
                    if wanted.get(option) == value:
                        site.click(button)
            case "details":
                self._read.add(site.item.id)
                for page in ("features", "description"):
                    site.click(page)
                    site.click(PREVIOUS)
            case "buy":
                site.click(BUY)
        return self.env.spend_step()

    # The sentence

    def sentence(self) -> str:
        site = self.env.site
        if site.page is Page.SEARCH:
            return f"at:search tried:{min(self._searches, _MOST_SEARCHES)}"
        page = f"page:{site.page_number}/{site.pages}"
        if site.page is Page.RESULTS:
            product = self._next_untried()
            return f"at:results {page} {'rank:none' if product is None else self._about(product)}"
        details = "read" if site.item.id in self._read else "unread"
        return f"at:item {page} {self._about(site.item)} options:{self._options_word()} details:{details}"

    def _about(self, product: Product) -> str:
        rank, words = self.env.site.listed.index(product) + 1, product.title.lower().split()
        same = all(any(word in own for own in words) for word in self.env.goal.query.split())
        known = f"kind:{'same' if same else 'other'} wishes:{self._wishes(product)} price:{self._price_word(product)}"
        return f"rank:{rank} {known}"

    def _wishes(self, product: Product) -> str:
        """How many wished attributes the texts read so far state, of how many."""
        texts = [product.title]
        if product.id in self._read:
            texts += [*product.bullets, product.description]
        text = "\n".join(texts).lower()
        wishes = self.env.goal.attributes[:MOST_WISHES]
        return f"{sum(wish.lower() in text for wish in wishes)}/{len(wishes)}"

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


def goal_sentence(wishes: int, options: int) -> str:
    """What is asked, in words of the vocabulary: the wishes themselves the environment keeps in mind."""
    return f"webshop: buy with {min(wishes, MOST_WISHES)} wishes {min(options, MOST_OPTIONS)} options within price"


def goal_sentences() -> tuple[str, ...]:
    """All that `goal_sentence` can say."""
    counts = itertools.product(range(1, MOST_WISHES + 1), range(MOST_OPTIONS + 1))
    return tuple(goal_sentence(wishes, options) for wishes, options in counts)


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
