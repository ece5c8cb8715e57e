"""The shop as a state machine: which page is open, what can be clicked on it, what a click or a search does."""

from dataclasses import dataclass
from enum import StrEnum

from crl.envs.webshop.catalogue import Product
from crl.envs.webshop.search import TOP
from crl.envs.webshop.shop import Shop

PER_PAGE = 10
TOP_PAGES = TOP // PER_PAGE  # that a search can show
BACK, PREVIOUS, NEXT, BUY = "back to search", "< prev", "next >", "buy now"
SUB_PAGES = ("description", "features", "reviews")
BUTTONS = frozenset((BACK, PREVIOUS, NEXT, BUY, *SUB_PAGES))


class Page(StrEnum):
    SEARCH = "search"
    RESULTS = "results"
    ITEM = "item"
    DESCRIPTION = "description"
    FEATURES = "features"
    REVIEWS = "reviews"
    DONE = "done"  # something was bought


@dataclass(slots=True)
class Site:
    """One visit. `click` and `search` return False, and change nothing, where they make no sense."""

    shop: Shop
    page: Page = Page.SEARCH
    query: str = ""
    results: tuple[Product, ...] = ()
    page_number: int = 1  # of the results, from 1
    item: Product | None = None
    chosen: dict[str, str] | None = None  # option name -> value name; None off the item's pages

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.results) // PER_PAGE))

    @property
    def listed(self) -> tuple[Product, ...]:
        """The products on this page of the results."""
        first = (self.page_number - 1) * PER_PAGE
        return self.results[first : first + PER_PAGE]

    def search(self, query: str) -> bool:
        """Only the search page has a search box."""
        if self.page is not Page.SEARCH or not query:
            return False
        self.page, self.query, self.page_number = Page.RESULTS, query, 1
        self.results = self.shop.search(query)
        return True

    def buttons(self) -> tuple[str, ...]:
        """What `click` accepts now, in the order in which the page shows it."""
        if self.page is Page.RESULTS:
            previous = (PREVIOUS,) if self.page_number > 1 else ()
            following = (NEXT,) if self.page_number < self.pages else ()
            return (BACK, *previous, *following, *(product.id for product in self.listed))
        if self.page is Page.ITEM:
            return (BACK, PREVIOUS, *SUB_PAGES, *self.labels(), BUY)
        return () if self.page in (Page.SEARCH, Page.DONE) else (BACK, PREVIOUS)

    def labels(self) -> dict[str, tuple[str, str]]:
        """Button of each option value -> (option name, value name).

        The value's own name, unless the item shows that name twice; then with the option's before it.
        """
        pairs = [(option.name, value.name) for option in self.item.options for value in option.values]
        names = [value for _, value in pairs]
        return {
            (value if names.count(value) == 1 and value not in BUTTONS else f"{option}: {value}"): (option, value)
            for option, value in pairs
        }

    def click(self, button: str) -> bool:
        if button not in self.buttons():
            return False
        if button == BACK:
            self._leave(Page.SEARCH)
        elif self.page is Page.RESULTS:
            self._click_on_results(button)
        elif self.page is Page.ITEM:
            self._click_on_item(button)
        else:  # "< prev" on a sub-page
            self.page = Page.ITEM
        return True

    def _click_on_results(self, button: str) -> None:
        if button in (NEXT, PREVIOUS):
            self.page_number += 1 if button == NEXT else -1
            return
        self.page, self.item, self.chosen = Page.ITEM, self.shop.by_id[button], {}

    def _click_on_item(self, button: str) -> None:
        if button == PREVIOUS:
            self._leave(Page.RESULTS)
        elif button in SUB_PAGES:
            self.page = Page(button)
        elif button == BUY:
            self.page = Page.DONE
        else:
            option, value = self.labels()[button]
            self.chosen = {**self.chosen, option: value}

    def _leave(self, page: Page) -> None:
        """Choices are forgotten when the item's pages are left."""
        self.page, self.item, self.chosen = page, None, None
