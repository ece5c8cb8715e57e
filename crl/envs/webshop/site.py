"""The shop as a state machine: which page is open, what can be clicked on it, what a click or a search does."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from crl.envs.webshop.catalogue import Product
from crl.envs.webshop.shop import TOP, Shop

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
        return tuple(self._moves())

    def click(self, button: str) -> bool:
        moves = self._moves()
        for field, value in moves.get(button, {}).items():
            setattr(self, field, value)
        return button in moves

    def _moves(self) -> dict[str, dict[str, Any]]:
        """What each button of this page changes; choices are forgotten when the item's pages are left."""
        back = {BACK: {"page": Page.SEARCH, "item": None, "chosen": None}}
        if self.page is Page.RESULTS:
            turns = {PREVIOUS: self.page_number - 1, NEXT: self.page_number + 1}
            return {
                **back,
                **{button: {"page_number": number} for button, number in turns.items() if 1 <= number <= self.pages},
                **{product.id: {"page": Page.ITEM, "item": product, "chosen": {}} for product in self.listed},
            }
        if self.page is Page.ITEM:
            return {
                **back,
                PREVIOUS: {"page": Page.RESULTS, "item": None, "chosen": None},
                **{name: {"page": Page(name)} for name in SUB_PAGES},
                **{
                    label: {"chosen": {**self.chosen, option: value}}
                    for label, (option, value) in self.labels().items()
                },
                BUY: {"page": Page.DONE},
            }
        return {} if self.page in (Page.SEARCH, Page.DONE) else {**back, PREVIOUS: {"page": Page.ITEM}}

    def labels(self) -> dict[str, tuple[str, str]]:
        """Button of each option value -> (option name, value name).

        The value's own name, unless the item shows that name twice; then with the option's before it.
        """
        names = [value for _, value in self.item.values]
        return {
            (value if names.count(value) == 1 and value not in BUTTONS else f"{option}: {value}"): (option, value)
            for option, value in self.item.values
        }
