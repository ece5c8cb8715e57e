"""Shared by the WebShop tests: requests, products made by hand, whole episodes of scripted play."""

from dataclasses import replace

from crl.envs.contract import StepResult, TextEnv
from crl.envs.family import TaskRequest
from crl.envs.webshop.catalogue import Goal, Option, OptionValue, Product, Review
from crl.envs.webshop.env import WebShopEnv
from crl.envs.webshop.shop import Shop
from crl.seeding import stream
from crl.tiny.scripts import script_of
from crl.types import Task

SLIPPERS = Product(
    id="s1",
    line="s",
    title="Rubber sole slippers by Anybody",
    query="slippers",
    category=("Shoes", "Footwear", "House", "slippers"),
    nouns=("rubber", "sole", "slippers"),
    cents=1999,
    options=(
        Option("color", (OptionValue("navy"), OptionValue("black"))),
        Option("shoe size", (OptionValue("8"), OptionValue("8.5", 300), OptionValue("12", 700))),
    ),
    attributes=("non slip", "rubber sole"),
    bullets=("Non-Slip on wet floors.", "Long lasting."),
    description="Wear them with arch support all day.",
    reviews=(Review(4, "Warm", "My feet are warm."), Review(5, "Fine", "Yes.")),
)
GOAL = Goal(
    instruction="i need non slip, rubber sole slippers with color: navy, shoe size: 8.5, and price lower than 25.00 dollars",
    product="s1",
    query="slippers",
    category=SLIPPERS.category,
    nouns=SLIPPERS.nouns,
    attributes=("non slip", "rubber sole"),
    options=(("color", "navy"), ("shoe size", "8.5")),
    price_upper_cents=2500,
)
RIGHT = {"color": "navy", "shoe size": "8.5"}


def hand_shop(*products: Product) -> Shop:
    return Shop(products or (SLIPPERS, replace(SLIPPERS, id="s2", title="Felt slippers")), "made by hand")


def request(count=50, level="generated-200", split="train", max_steps=30, first_seed=0, source=None) -> TaskRequest:
    return TaskRequest("webshop", "webshop", level, split, max_steps, count, first_seed, source)


def tasks(count=50, level="generated-200", split="train", **more) -> list[Task]:
    return list(WebShopEnv.task_set(request(count, level, split, **more)))


def scripted(env: TextEnv, played: Task, skill: str) -> tuple[list[str], StepResult]:
    """Texts of one episode of a scripted skill, and its last result; `env` must show slots."""
    (strategy,) = script_of("webshop", played.level).strategies([skill])
    policy, observation = strategy.start(stream("test", played.seed)), env.reset(played)
    texts = [observation.text]
    while True:
        result = env.step(policy.act(observation.text))
        assert result.valid, (skill, texts[-1])
        texts.append(result.observation.text)
        if result.done:
            return texts, result
        observation = result.observation
