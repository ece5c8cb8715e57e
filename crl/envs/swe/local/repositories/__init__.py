"""The table of the local repositories: one module each, named like the repository."""

from importlib import import_module

from crl.envs.swe.local.recipe import Recipe

NAMES = (
    "lrucache",
    "priorityqueue",
    "ringbuffer",
    "trie",
    "textwrapper",
    "slugs",
    "tokenizer",
    "templates",
    "roman",
    "matrix",
    "money",
    "runningstats",
    "dateranges",
    "businessdays",
    "durations",
    "schedules",
    "shortestpath",
    "buildorder",
    "unionfind",
    "floodfill",
    "csvlines",
    "configfile",
    "querystrings",
    "versions",
    "bankaccount",
    "retrying",
    "ratelimiter",
    "eventbus",
)
RECIPES: tuple[Recipe, ...] = tuple(import_module(f"{__name__}.{name}").RECIPE for name in NAMES)
