"""What the pages say, for models that can read: the grid style's texts."""

from crl.envs.webshop.catalogue import Product
from crl.envs.webshop.site import PER_PAGE, Page, Site

MANUAL = """\
You shop in an online store, by text. Find a product that meets every wish of the instruction, choose the options that
it names, and buy it. Buying ends the visit: only a product that has all wished attributes, with the wished options
chosen, at a price within the bound, counts.
- search[words] looks for words; it works on the search page only. Results come in pages of ten, at most fifty in all.
- click[button] presses a button of the page: a product's id opens it, an option's value chooses it, and the price of the
  product follows the choice. Options must be chosen before you buy.
- description, features and reviews are pages of their own: what the title does not say may stand there.
- < prev leads one page back, next > to more results, back to search to a new search. Leaving a product forgets its options.
- buy now buys the product as it is configured."""


def render(site: Site, instruction: str) -> str:
    """The open page. The instruction is repeated on the search page only."""
    if site.page is Page.SEARCH:
        return f"Search page. Instruction: {instruction}\nSearch for products with search[words]."
    if site.page is Page.RESULTS:
        return _results(site)
    if site.page is Page.ITEM:
        return _item(site)
    return _sub_page(site.item, site.page)


def _results(site: Site) -> str:
    heading = f"Results for {site.query!r}: {len(site.results)} products"
    if not site.results:
        return f"{heading}. Go back to search and try other words."
    first = (site.page_number - 1) * PER_PAGE + 1
    lines = [
        f"{rank}. {product.id}: {product.title} ({_price(product)})" for rank, product in enumerate(site.listed, first)
    ]
    return "\n".join((f"{heading}, page {site.page_number} of {site.pages}", *lines))


def _item(site: Site) -> str:
    item = site.item
    labels: dict[str, list[str]] = {}
    for button, (option, value) in site.labels().items():
        chosen = site.chosen.get(option) == value
        labels.setdefault(option, []).append(f"[{button}]" if chosen else button)
    options = [f"{option}: {', '.join(values)}" for option, values in labels.items()]
    price = _dollars(item.price_cents(site.chosen))
    return "\n".join((f"Product {item.id}: {item.title}", f"Price: {price}", *options, _stars(item)))


def _stars(item: Product) -> str:
    if not item.reviews:
        return "Rating: none yet"
    mean = sum(review.stars for review in item.reviews) / len(item.reviews)
    return f"Rating: {mean:.1f} of 5 from {len(item.reviews)} reviews"


def _sub_page(item: Product, page: Page) -> str:
    if page is Page.DESCRIPTION:
        lines = (item.description or "(none)",)
    elif page is Page.FEATURES:
        lines = tuple(f"- {bullet}" for bullet in item.bullets) or ("(none)",)
    else:
        reviews = (f"- {review.stars} of 5, {review.title}: {review.text}" for review in item.reviews)
        lines = tuple(reviews) or ("(none)",)
    return "\n".join((f"{page.value.capitalize()} of product {item.id}: {item.title}", *lines))


def _price(product: Product) -> str:
    """The price, or the range over its options."""
    low, high = product.price_range
    return _dollars(low) if low == high else f"{_dollars(low)} to {_dollars(high)}"


def _dollars(cents: int) -> str:
    return f"${cents / 100:,.2f}"
