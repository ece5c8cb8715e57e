"""The original's files: read as they are, refused where they are not what they should be."""

import json

import pytest

from crl.envs.check import check_env
from crl.envs.registry import make_env
from crl.envs.webshop import original
from crl.envs.webshop import tasks as task_sets
from crl.envs.webshop.env import WebShopEnv
from crl.envs.webshop.shop import open_shop
from crl.errors import DataError
from crl.types import Outcome
from tests.envs.webshop_shops import tasks

COLORS = ("Navy/White", "Black")


def entry(number: int, **change) -> dict:
    """A product as the original's file has it, made up for this test."""
    values = [{"value": f" {color} ", "price": 0, "image": None, "is_selected": False} for color in COLORS]
    return {
        "asin": f"B0000000{number:02d}",
        "name": f"Felt house slippers number {number}, warm",
        "full_description": "For cold floors.",
        "small_description": ["Machine wash at low heat.", "Rubber sole."],
        "pricing": "$1,019.50" if number == 3 else "$19.99",
        "customization_options": {"Color": values, "Fit": None},
        "query": "House Slippers",
        "category": "fashion",
        "product_category": "Clothing › Shoes › Slippers",
        "images": [],
        "average_rating": 4.4,
    } | change


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, original.PRODUCTS, [entry(number) for number in range(30)])
    about = {
        f"B0000000{number:02d}": {
            "attributes": ["machine wash", "rubber sole"],
            "instruction": f"Find me machine wash slippers number {number}.",
            "instruction_attributes": ["machine wash", "rubber sole"][: 1 + number % 2],
        }
        for number in range(28)  # two products have none, as many in the original
    }
    write(tmp_path, original.ATTRIBUTES, about)
    open_shop.cache_clear()  # the folder of another test may have had the same name
    task_sets._goals.cache_clear()
    return tmp_path


def write(folder, name, content) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


def test_products_come_with_clean_options_prices_and_categories(folder):
    product, *_, last = original.read_products(str(folder))
    assert (product.id, product.query, product.cents) == ("b000000000", "house slippers", 1999)
    assert product.category == ("Clothing", "Shoes", "Slippers")
    assert [(option.name, [value.name for value in option.values]) for option in product.options] == [
        ("color", ["navy | white", "black"])
    ]
    assert product.attributes == ("machine wash", "rubber sole")
    assert last.attributes == ()
    assert "slippers" in product.nouns


@pytest.mark.parametrize(
    ("pricing", "lowest", "highest"),
    [
        ("$5.00", 500, 500),
        ("$10.00 - $20.00", 1000, 2000),
        ("", 10_000, 10_000),
        (None, 10_000, 10_000),
        ("$1,019.50", 101_950, 101_950),
    ],
)
def test_prices_are_read_drawn_from_a_range_or_taken_as_a_hundred(folder, pricing, lowest, highest):
    write(folder, original.PRODUCTS, [entry(0, pricing=pricing)])
    (product,) = original.read_products(str(folder))
    assert lowest <= product.cents <= highest
    assert original.read_products(str(folder)) == (product,)


def test_what_the_original_lacks_is_taken_as_empty(folder):
    bare = {"asin": "B000000077", "name": "Bare product", "customization_options": "", "small_description": "One text"}
    write(folder, original.PRODUCTS, [bare, bare])
    (product,) = original.read_products(str(folder))  # and a repeated one once
    assert (product.options, product.bullets, product.description) == ((), ("One text",), "")


def test_made_goals_name_options_and_a_bound_above_the_price(folder):
    products = original.read_products(str(folder))
    goals, by_people = original.read_goals(str(folder), products)
    assert not by_people
    assert len(goals) == 28 * len(COLORS)
    assert goals[0].options == (("color", "navy | white"),)
    assert goals[0].instruction.startswith(
        "Find me machine wash slippers number 0 with color: navy | white, and price lower than "
    )
    assert all(goal.price_upper_cents in (3000, 4000, 5000) for goal in goals if goal.product != "b000000003")
    beyond = next(goal for goal in goals if goal.product == "b000000003")  # dearer than any bound that is named
    assert "price" not in beyond.instruction
    assert beyond.price_upper_cents > 101_950


def test_goals_by_people_take_precedence_and_weigh_alike(folder):
    written = {
        "instruction": "warm slippers in black.",
        "instruction_attributes": ["rubber sole"],
        "instruction_options": ["black"],
    }
    useless = written | {"instruction_attributes": []}
    write(folder, original.HUMAN, {"B000000001": [written, useless], "B999999999": [written]})
    goals, by_people = original.read_goals(str(folder), original.read_products(str(folder)))
    assert by_people
    ((goal,)) = goals
    assert (goal.options, goal.weight) == ((("color", "black"),), 1.0)
    assert goal.instruction.startswith("warm slippers in black, and price lower than ")


def test_tasks_from_a_users_folder_play_in_both_styles_and_the_oracle_solves_them(folder):
    train = tasks(10**6, "small", source=str(folder))
    held_out = tasks(10**6, "small", "eval", source=str(folder))
    assert len(train) > 20
    assert held_out
    assert {task_sets.decode(task.payload)[1].product for task in train}.isdisjoint(
        task_sets.decode(task.payload)[1].product for task in held_out
    )
    env = WebShopEnv()
    for task in (*train, *held_out):
        env.reset(task)
        assert [env.step(action) for action in WebShopEnv.solution(task)][-1].outcome is Outcome.SUCCESS
    for style in ("grid", "slots"):
        findings = check_env(lambda style=style: make_env("webshop", style), train[:8])
        assert [finding for finding in findings if not finding.ok] == []


def test_files_that_changed_after_preparation_are_refused(folder):
    task = tasks(1, "small", source=str(folder))[0]
    write(folder, original.PRODUCTS, [entry(number, pricing="$5.00") for number in range(30)])
    open_shop.cache_clear()  # as in another process
    with pytest.raises(DataError, match=r"has digest .* the task was made for .*Remedy"):
        WebShopEnv().reset(task)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (original.PRODUCTS, "[{", "is no JSON"),
        (original.PRODUCTS, "{}", "holds a dict, not a list"),
        (original.PRODUCTS, "[]", "holds no product"),
        (original.PRODUCTS, "[7]", r"items_shuffle_1000.json\[0\]"),
        (original.PRODUCTS, '[{"name": "x"}]', r"items_shuffle_1000.json\[0\]: field 'asin' is None"),
        (original.PRODUCTS, '[{"asin": "B1"}]', "field 'name' is None"),
        (
            original.PRODUCTS,
            '[{"asin": "B1", "name": "x", "customization_options": {"a": 5}}]',
            "customization_options",
        ),
        (original.PRODUCTS, '[{"asin": "B1", "name": "x", "query": 5}]', "field 'query' is '5', not of type str"),
        (original.ATTRIBUTES, "[]", "holds a list, not a dict"),
        (original.ATTRIBUTES, '{"B000000000": {"attributes": 3}}', "field 'attributes' is '3', not of type list"),
    ],
)
def test_a_damaged_file_is_named_with_the_place_and_a_remedy(folder, name, text, message):
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=rf"(?s){message}.*Remedy"):
        original.read_products(str(folder))


def test_a_damaged_file_of_written_goals_is_named(folder):
    write(folder, original.HUMAN, {"B000000001": "text"})
    with pytest.raises(DataError, match=r"items_human_ins.json\['b000000001'\] is str, not a list. Remedy"):
        original.read_goals(str(folder), original.read_products(str(folder)))


def test_a_folder_without_the_files_says_what_it_must_hold(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read .*Remedy: source must be the folder that holds"):
        tasks(1, "small", source=str(tmp_path))
