"""What the generated catalogue is made of, from `data/webshop/catalogue.yaml`: the file tells what each part means."""

from functools import cache

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from crl.envs.shipped import shipped
from crl.errors import DataError

CATALOGUE = "webshop/catalogue.yaml"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProductType(_Part):
    """Products that one noun names. `options` are names of `Vocabulary.options`; no other type has its `attributes`."""

    noun: str
    shelf: str  # the last level of the category path
    dollars: tuple[int, int]  # range of base prices
    options: tuple[str, ...]
    attributes: tuple[str, ...]


class Department(_Part):
    """Types that share the first two levels of the category path and a pool of attributes, common ones first."""

    path: tuple[str, str]
    attributes: tuple[str, ...]
    types: tuple[ProductType, ...]


class OptionValues(_Part):
    """Values of one option, cheapest first where they cost extra: `extra` per rank, as a share of the base price."""

    values: tuple[str, ...]
    extra: float


class Vocabulary(_Part):
    """Words and sentences of the generated catalogue and of the instructions to buy from it."""

    options: dict[str, OptionValues]
    everywhere: tuple[str, ...]  # attributes that any product may have, the most common first
    departments: tuple[Department, ...]
    syllables: tuple[str, ...]  # of brands
    series: tuple[str, ...]
    titles_one: tuple[str, ...]  # a title that states one attribute
    titles_two: tuple[str, ...]
    bullets: tuple[str, ...]
    openers: tuple[str, ...]
    claims: tuple[str, ...]
    fillers: tuple[str, ...]
    reviews: tuple[tuple[int, str, str], ...]  # stars, title, text
    instructions: tuple[str, ...]


@cache
def vocabulary() -> Vocabulary:
    """The shipped vocabulary. Raises DataError when its file is missing or not as it should be."""
    file = shipped(CATALOGUE)
    try:
        return Vocabulary.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        raise DataError(f"{file}: cannot be read ({error}). Remedy: `git checkout -- data/{CATALOGUE}`") from error
