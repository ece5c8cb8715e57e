"""The shop's pages as a state machine, and what they say."""

from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.envs.webshop import tasks as task_sets
from crl.envs.webshop.catalogue import Option, OptionValue
from crl.envs.webshop.pages import render
from crl.envs.webshop.shop import open_shop
from crl.envs.webshop.site import BACK, BUY, NEXT, PREVIOUS, Page, Site
from tests.envs.webshop_shops import SLIPPERS, hand_shop


@pytest.fixture
def site() -> Site:
    return Site(hand_shop())


def walk(site: Site, *buttons: str) -> str:
    for button in buttons:
        assert site.click(button), button
    return render(site, "buy slippers")


def test_from_search_to_purchase(site):
    assert site.search("slippers")
    assert "s1: Rubber sole slippers by Anybody ($19.99 to $26.99)" in render(site, "")
    assert "Price: $19.99" in walk(site, "s1")
    page = walk(site, "navy", "8.5")
    assert "color: [navy], black" in page
    assert "shoe size: 8, [8.5], 12" in page
    assert "Price: $22.99" in page
    walk(site, BUY)
    assert (site.page, site.item.id, site.chosen) == (Page.DONE, "s1", {"color": "navy", "shoe size": "8.5"})
    assert site.buttons() == ()


def test_sub_pages_tell_what_the_item_page_does_not(site):
    site.search("slippers")
    item = walk(site, "s1")
    for button, text in (
        ("features", "- Non-Slip on wet floors."),
        ("description", "arch support all day"),
        ("reviews", "- 4 of 5, Warm: My feet are warm."),
    ):
        assert text not in item
        assert text in walk(site, button)
        assert site.buttons() == (BACK, PREVIOUS)
        assert walk(site, PREVIOUS) == item


def test_a_choice_survives_sub_pages_and_is_forgotten_outside(site):
    site.search("slippers")
    walk(site, "s1", "navy", "features", PREVIOUS)
    assert site.chosen == {"color": "navy"}
    walk(site, "black")
    assert site.chosen == {"color": "black"}
    walk(site, PREVIOUS, "s1")
    assert site.chosen == {}


def test_results_come_ten_a_page_and_fifty_in_all():
    site = Site(open_shop(task_sets.catalogue_of("small", None)))
    site.search("long lasting color black")
    seen = [product.id for product in site.listed]
    assert PREVIOUS not in site.buttons()
    while site.click(NEXT):
        assert PREVIOUS in site.buttons()
        seen += [product.id for product in site.listed]
        assert render(site, "").splitlines()[1].startswith(f"{len(seen) - 9}. {site.listed[0].id}: ")
    assert len(seen) == len(set(seen)) == 50
    assert NEXT not in site.buttons()
    walk(site, seen[-1], PREVIOUS)
    assert site.page_number == 5  # back on the page that the item was on
    walk(site, PREVIOUS)
    assert site.page_number == 4


def test_a_search_without_results_leads_back(site):
    assert site.search("zeppelin")
    assert "0 products" in render(site, "")
    assert site.buttons() == (BACK,)
    assert "Instruction: buy slippers" in walk(site, BACK)


def test_nothing_but_the_search_page_searches(site):
    assert not site.search("")
    assert site.search("slippers")
    assert not site.search("slippers")


def test_a_value_that_two_options_share_is_told_apart_by_its_option():
    both = replace(
        SLIPPERS,
        options=(
            Option("color", (OptionValue("rose"), OptionValue("features"))),
            Option("scent", (OptionValue("rose"),)),
        ),
    )
    site = Site(hand_shop(both))
    site.search("slippers")
    page = walk(site, "s1", "scent: rose", "color: features")
    assert site.chosen == {"scent": "rose", "color": "features"}
    assert "scent: [scent: rose]" in page


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_button_shown_works_and_no_other_does(data):
    """A random walk: each offered button is accepted, anything else changes nothing, each page has its text."""
    shop = open_shop(task_sets.catalogue_of("generated-200", None))
    site = Site(shop)
    for _ in range(12):
        if site.page is Page.SEARCH:
            assert site.search(data.draw(st.sampled_from(("shoes", "color black", "large gift ready", "nothingness"))))
        before = deepcopy((site.page, site.query, site.page_number, site.item, site.chosen))
        for wrong in ("checkout", "", shop.products[0].title.lower(), "search"):
            assert not site.click(wrong)
        assert before == (site.page, site.query, site.page_number, site.item, site.chosen)
        text = render(site, "x")
        assert text
        assert all(product.title in text for product in (site.listed if site.page is Page.RESULTS else (site.item,)))
        assert site.click(data.draw(st.sampled_from(site.buttons())))
        if site.page is Page.DONE:
            return
