"""A Weaviate server, started for the first test that asks for it and ended with the last."""

import logging
from collections.abc import Iterator

import pytest

from crl.bank.weaviate import serve
from crl.errors import ConfigError
from tests.bank.weaviate_server import WeaviateServer


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The projector's warnings. Not by caplog: other packages in the same process reconfigure logging as a whole."""
    logger, messages = logging.getLogger("crl.bank.projector"), []
    monkeypatch.setattr(logger, "warning", lambda message, *values: messages.append(message % values))
    return messages


@pytest.fixture(scope="session")
def weaviate_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WeaviateServer]:
    try:
        serve.binary()
    except ConfigError as error:
        pytest.skip(str(error))
    server = WeaviateServer(tmp_path_factory.mktemp("weaviate"))
    server.start()
    yield server
    server.running.stop()
