"""The generated catalogue and its goals: varied, equal everywhere, without ambiguity; the search over it."""

import itertools
import os
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from crl.envs.webshop import tasks as task_sets
from crl.envs.webshop.catalogue import Goal, fingerprint
from crl.envs.webshop.generate import generate
from crl.envs.webshop.goals import in_drawn_order, in_split, meets, weighted
from crl.envs.webshop.reward import same_value
from crl.envs.webshop.shop import TOP, Shop, open_shop
from crl.envs.webshop.vocabulary import vocabulary
from crl.errors import ConfigError
from tests.envs.webshop_shops import GOAL, SLIPPERS, hand_shop, request, tasks

SMALL = task_sets.catalogue_of("small", None)
WORDS = vocabulary()
TYPES = [(department, type_) for department in WORDS.departments for type_ in department.types]


@pytest.fixture(scope="module")
def shop() -> Shop:
    return open_shop(SMALL)


@pytest.fixture(scope="module")
def goals() -> tuple[Goal, ...]:
    return task_sets._goals(SMALL)


# Variety


def test_a_thousand_products_of_many_kinds(shop):
    products = shop.products
    assert len(products) == len(shop.by_id) == 1000
    assert len({product.category[:2] for product in products}) >= 12
    assert len({product.category for product in products}) >= 75
    assert len({product.title for product in products}) >= 550  # a variant in price or options keeps its title
    assert min(product.cents for product in products) < 1_000
    assert max(product.cents for product in products) > 25_000
    assert sum(bool(product.options) for product in products) >= 800
    assert len({value.name for product in products for option in product.options for value in option.values}) >= 100
    dearer = [
        value for product in products for option in product.options for value in option.values if value.extra_cents
    ]
    assert len(dearer) >= 300


def test_attributes_have_a_long_tail(shop):
    counts = sorted(Counter(name for product in shop.products for name in product.attributes).values(), reverse=True)
    assert len(counts) >= 350
    assert counts[0] >= 200
    assert counts[len(counts) // 2] <= 20
    assert sum(counts[: len(counts) // 10]) >= 0.35 * sum(counts)


def test_every_attribute_of_a_product_can_be_read_on_its_pages(shop):
    for product in shop.products:
        text = "\n".join((product.title, *product.bullets, product.description)).lower()
        assert all(attribute in text for attribute in product.attributes), product


def test_a_product_states_no_attribute_of_its_kind_that_it_does_not_have(shop):
    """Otherwise a page would promise what the reward denies, or the reverse."""
    pool = {type_.noun: {*type_.attributes, *department.attributes, *WORDS.everywhere} for department, type_ in TYPES}
    for product in shop.products:
        text = "\n".join((product.title, *product.bullets, product.description)).lower()
        assert {name for name in pool[product.query] if name in text} == {*product.attributes}, product


def test_near_duplicates_differ_in_one_attribute_or_option_or_price(shop):
    lines = defaultdict(list)
    for product in shop.products:
        lines[product.line].append(product)
    several = [line for line in lines.values() if len(line) > 1]
    assert len(several) >= 150
    for line in several:
        for product in line:
            assert 1 in {_differences(product, other) for other in line if other is not product}


def _differences(one, other) -> int:
    swapped = max(len({*one.attributes} - {*other.attributes}), len({*other.attributes} - {*one.attributes}))
    return swapped + (one.cents != other.cents) + (one.options != other.options)


def test_no_two_values_or_attributes_of_one_product_can_be_taken_for_each_other():
    for department, type_ in TYPES:
        values = [(name, value) for name in type_.options for value in WORDS.options[name].values]
        for (name, one), (_, other) in itertools.permutations(values, 2):
            assert not same_value(name, one, other), (type_.noun, one, other)
        attributes = (*type_.attributes, *department.attributes, *WORDS.everywhere)
        for one, other in itertools.permutations(attributes, 2):
            assert not same_value("attribute", one, other), (type_.noun, one, other)
            assert one not in other, (type_.noun, one, other)


# Sameness


def test_catalogue_and_tasks_are_equal_in_another_process():
    code = (
        "from tests.envs.webshop_shops import tasks\n"
        "from crl.envs.webshop.tasks import open_shop, catalogue_of\n"
        "print(open_shop(catalogue_of('small', None)).digest)\n"
        "print(*(task.payload for task in tasks(20)), sep='\\n')"
    )
    env = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    digest, *payloads = done.stdout.splitlines()
    assert digest == open_shop(SMALL).digest
    assert payloads == [task.payload for task in tasks(20)]


def test_the_shipped_catalogue_is_the_one_that_task_sets_were_made_for(shop):
    """A change of vocabulary or generator makes prepared task sets useless: change this digest on purpose only."""
    assert shop.digest[:16] == "78b04a9b5e505a2c"


def test_seeds_and_sizes_give_other_catalogues():
    digests = {fingerprint(generate(size, seed)) for size, seed in ((100, 0), (100, 1), (101, 0))}
    assert len(digests) == 3


# Goals and splits


def test_goals_are_met_by_their_product_and_by_no_other_of_its_kind(shop, goals):
    for goal in goals[::10]:
        kind = [product for product in shop.products if product.query == goal.query]
        assert [product.id for product in kind if meets(goal, product)] == [goal.product]


def test_goals_name_attributes_options_and_price_in_words(goals):
    for goal in goals:
        assert all(attribute in goal.instruction for attribute in goal.attributes)
        assert all(f"{name}: {value}" in goal.instruction for name, value in goal.options)
        assert f"lower than {goal.price_upper_cents / 100:.2f} dollars" in goal.instruction
    assert {goal.constraints for goal in goals} >= {3, 4, 5, 6}


def test_a_goal_weighs_the_mean_inverse_frequency_of_its_attributes():
    one, two, three = (replace(GOAL, attributes=names) for names in (("a", "b"), ("a",), ("a", "c")))
    assert [goal.weight for goal in weighted((one, two, three))] == pytest.approx(
        [(1 / 3 + 1) / 2, 1 / 3, (1 / 3 + 1) / 2]
    )


def test_rare_attributes_are_drawn_first_on_average(goals):
    order = in_drawn_order(goals, "test")
    assert sorted(map(repr, order)) == sorted(map(repr, goals))
    counts = Counter(name for goal in goals for name in goal.attributes)

    def commonness(some):
        return sum(counts[name] for goal in some for name in goal.attributes) / sum(
            len(goal.attributes) for goal in some
        )

    assert commonness(order[:500]) < 0.8 * commonness(order[-500:])


def test_splits_share_no_product_and_no_near_duplicate(shop):
    lines = {
        split: {shop.by_id[task_sets.decode(task.payload)[1].product].line for task in tasks(10**6, "small", split)}
        for split in ("train", "eval")
    }
    assert lines["train"].isdisjoint(lines["eval"])
    assert all(in_split(line, split) for split in lines for line in lines[split])


def test_the_small_level_has_the_promised_numbers_of_tasks():
    train, held_out = (tasks(10**6, "small", split) for split in ("train", "eval"))
    assert len(train) >= 2000
    assert len(held_out) >= 500  # as many as the original's test goals
    for split in (train, held_out):
        assert len({task.id for task in split}) == len({task.payload for task in split}) == len(split)
        assert max(len(task.payload) for task in split) < 2000
        assert all(task.difficulty == task_sets.decode(task.payload)[1].constraints for task in split)


def test_a_task_set_is_deterministic_and_a_shorter_one_its_beginning():
    assert tasks(30) == tasks(50)[:30]
    assert [task.seed for task in tasks(3, first_seed=70)] == [70, 71, 72]


def test_goals_that_need_more_steps_than_allowed_are_left_out():
    assert len(tasks(10**6, max_steps=3)) < len(tasks(10**6))


@pytest.mark.parametrize("level", ["large", "generated-", "generated-3", "generated-999999", "generated-1e3"])
def test_an_unknown_level_is_refused_with_the_known_ones(level):
    with pytest.raises(ConfigError, match=r"level = '.*Remedy: use 'small', or 'generated-<n>'"):
        next(iter(task_sets.task_set(request(level=level))))


def test_a_source_goes_with_the_small_level_only():
    with pytest.raises(ConfigError, match="Remedy: use level 'small', or no source"):
        next(iter(task_sets.task_set(request(level="generated-200", source="somewhere"))))


# Search


def test_search_stems_words_and_ranks_full_matches_first(shop):
    found = shop.search("running shoe")
    assert found[0].query == "running shoes"
    assert found == shop.search("RUNNING shoes!")
    assert len(shop.search("color black long lasting")) == TOP


@pytest.mark.parametrize("query", ["zzxxqq", "the and of", "?!", "\N{SNOWMAN}", "a" * 300])
def test_a_query_without_any_known_word_finds_nothing(shop, query):
    assert shop.search(query) == ()


def test_a_product_is_found_by_title_description_first_bullet_and_options_only():
    shop = hand_shop(
        SLIPPERS, replace(SLIPPERS, id="x", title="Lamp", bullets=(), description="", options=(), query="q")
    )
    for query in ("rubber", "arch", "wet floors", "navy"):
        assert [product.id for product in shop.search(query)] == ["s1"], query
    for query in ("lasting", "feet"):  # a later bullet, a review
        assert shop.search(query) == (), query
