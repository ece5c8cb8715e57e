"""The chat format of the tiny models, over their own tokenizer."""

import pytest

from crl.config import from_mapping
from crl.config.compose import compose
from crl.models.chat import ChatFormat
from crl.tasks.sets import TaskSets
from crl.tiny.casting import casts
from crl.tiny.corpus import texts
from crl.tiny.tokenizer import train_tokenizer
from tests.round.runs import CONF


@pytest.fixture(scope="session")
def chat() -> ChatFormat:
    quick = from_mapping(compose("quick", folder=CONF))
    return ChatFormat(train_tokenizer(texts(quick, casts(quick, TaskSets.generate(quick))), 800))
