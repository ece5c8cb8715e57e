"""The warm start of models that are named: their folders are the base models, with the run's own date in them."""

from datetime import date
from pathlib import Path

import pytest

from crl.config.compose import composed
from crl.models.chat import DATE, ChatFormat, Message
from crl.models.resolve import load_tokenizer, save_model
from crl.tasks.sets import TaskSets
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer
from crl.tiny.warm_start import warm_start

CONF = Path(__file__).parents[2] / "conf"
SMALL = [f"models.{role}.{field}" for role in ("actor", "extractor") for field in ("hidden_size=32", "layers=1")]


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A model whose template tells the date, and the parameters that name it."""
    folder = tmp_path_factory.mktemp("named") / "model"
    tokenizer = train_tokenizer(["go north"] * 3, 300)
    tokenizer.chat_template = "{{- strftime_now('%Y-%m-%d') -}}" + tokenizer.chat_template
    save_model(build_model(composed("quick", SMALL, CONF).models.actor, tokenizer, 1), tokenizer, folder)
    return composed("quick", [f"models.{role}.source={folder}" for role in ("actor", "extractor")], CONF)


def test_base_models_keep_the_day_on_which_they_were_made(named, tmp_path):
    days = {date.today()}
    warm_start(named, TaskSets({}, {}, "", {}), tmp_path)
    days.add(date.today())
    for role in ("actor", "extractor"):
        tokenizer = load_tokenizer(tmp_path / role)
        assert date.fromisoformat(tokenizer.init_kwargs[DATE]) in days
        tokenizer.init_kwargs[DATE] = "2024-02-29"  # as a run that goes on at a later day finds it
        tokenizer.save_pretrained(tmp_path / role)
        chat = ChatFormat(load_tokenizer(tmp_path / role))
        assert chat.decode(chat.open([Message("user", "go")])).startswith("2024-02-29<|user|>go")
