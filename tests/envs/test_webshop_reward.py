"""The reward of a purchase: cases worked out by hand, and what holds for every purchase in the generated shop."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crl.envs.webshop import tasks
from crl.envs.webshop.reward import has_attribute, same_value, score, type_factor
from crl.envs.webshop.shop import open_shop
from tests.envs.webshop_shops import GOAL, RIGHT, SLIPPERS

SHOP = tasks.catalogue_of("generated-200", None)


@pytest.mark.parametrize(
    ("chosen", "change", "total"),
    [
        (RIGHT, {}, 1.0),
        ({"color": "navy"}, {}, 4 / 5),  # no size
        ({}, {}, 3 / 5),
        ({"color": "navy", "shoe size": "8"}, {}, 4 / 5),  # sizes count exactly
        ({"color": "black", "shoe size": "8.5"}, {}, 4 / 5),
        (RIGHT, {"cents": 2300}, 4 / 5),  # 23 and 3 dollars are more than 25
        (RIGHT, {"cents": 2200}, 1.0),  # 25 are not
        (RIGHT, {"attributes": (), "title": "Slippers", "bullets": ()}, 3 / 5),
        ({}, {"cents": 9900, "attributes": (), "title": "Slippers", "bullets": ()}, 0.0),
    ],
)
def test_score_is_the_share_of_met_constraints(chosen, change, total):
    assert score(GOAL, replace(SLIPPERS, **change), chosen).total == pytest.approx(total)


@pytest.mark.parametrize(
    ("query", "category", "nouns", "factor"),
    [
        ("slippers", (), (), 1.0),  # same query
        ("boots", ("Shoes", "Footwear", "Outdoor"), (), 1.0),  # two levels shared
        ("boots", ("Shoes", "Other"), ("slippers",), 1.0),  # a third of the title's nouns
        ("boots", ("Shoes",), ("boots",), 0.0),  # one level is not enough, and no noun
        ("", (), (), 0.0),
    ],
)
def test_another_kind_of_product_scales_the_score(query, category, nouns, factor):
    other = replace(SLIPPERS, query=query, category=category, nouns=nouns)
    assert type_factor(GOAL, other) == factor
    assert score(GOAL, other, RIGHT).total == pytest.approx(factor)


def test_a_far_title_counts_half_or_a_tenth():
    stranger = replace(SLIPPERS, query="boots", category=(), nouns=("sole",))
    assert type_factor(replace(GOAL, nouns=("sole", *"abcdefghi")[:6]), stranger) == 0.5  # one of six
    assert type_factor(replace(GOAL, nouns=("sole", *"abcdefghijkl")), stranger) == 0.1  # one of thirteen


@pytest.mark.parametrize(
    ("attribute", "found"),
    [
        ("non slip", True),  # an attribute
        ("Non-Slip", True),  # the same, written otherwise
        ("long lasting", True),  # in a bullet point
        ("arch support", True),  # in the description
        ("memory foam", False),
        ("my feet are warm", False),  # a review proves nothing
    ],
)
def test_an_attribute_is_met_by_the_list_or_by_the_texts(attribute, found):
    assert has_attribute(SLIPPERS, attribute) is found


@pytest.mark.parametrize(
    ("option", "value", "wanted", "same"),
    [
        ("color", "a01-navy", "navy", True),
        ("color", "navy | white", "navy", True),
        ("color", "black", "navy", False),
        ("size", "8", "8.5", False),
        ("size", "X-Large", "x-large", True),
        ("size", "large", "x-large", False),
        ("flavor", "dark  chocolate", "dark chocolate", True),
        ("style", "chocolate, dark", "dark chocolate", True),
        ("style", "milk", "dark chocolate", False),
    ],
)
def test_option_values_match_exactly_for_sizes_and_nearly_for_the_rest(option, value, wanted, same):
    assert same_value(option, value, wanted) is same


def test_more_chosen_options_than_wanted_do_not_raise_the_score_above_one():
    """Counted over what was chosen, two matches of one wish would give 1.25 here."""
    goal = replace(GOAL, options=(("color", "navy"),))
    assert score(goal, SLIPPERS, {"color": "navy", "frame color": "navy", "shoe size": "8"}).total == 1.0


@st.composite
def purchases(draw):
    shop = open_shop(SHOP)
    goal = draw(st.sampled_from(tasks._goals(SHOP)))
    rivals = [product for product in shop.products if product.query == goal.query]
    product = draw(st.sampled_from(rivals) | st.sampled_from(shop.products))
    chosen = {
        option.name: draw(st.sampled_from([value.name for value in option.values]))
        for option in product.options
        if draw(st.booleans())
    }
    if draw(st.booleans()):  # as wished, as far as the product offers it
        chosen |= {
            option.name: value.name
            for option in product.options
            for value in option.values
            if (option.name, value.name) in goal.options
        }
    return goal, product, chosen


@settings(max_examples=300, deadline=None)
@given(purchases())
def test_a_score_lies_between_0_and_1_and_is_1_exactly_when_all_constraints_hold(purchase):
    """In the generated catalogue nothing is fuzzy: plain equality must agree with the reward."""
    goal, product, chosen = purchase
    graded = score(goal, product, chosen)
    assert 0 <= graded.total <= 1
    assert graded.options <= len(goal.options)
    if product.query != goal.query:
        return
    holds = (
        set(goal.attributes) <= set(product.attributes)
        and set(goal.options) <= set(chosen.items())
        and product.price_cents(chosen) <= goal.price_upper_cents
    )
    assert (graded.total == 1) == holds


@settings(max_examples=100, deadline=None)
@given(purchases(), st.integers(0, 5000))
def test_a_dearer_product_never_scores_higher(purchase, more):
    goal, product, chosen = purchase
    dearer = replace(product, cents=product.cents + more)
    assert score(goal, dearer, chosen).total <= score(goal, product, chosen).total
