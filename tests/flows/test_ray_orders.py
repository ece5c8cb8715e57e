"""What is refused, sent and unpacked around a Ray cluster, without one."""

from pathlib import Path

import pytest
import torch

from crl.config.addresses import WeaviateAddress, addresses
from crl.config.compose import composed
from crl.errors import ConfigError
from crl.round.shards import Home
from tests.round.runs import SMALL

ROOT = Path(__file__).parents[2]

pytest.importorskip("prefect_ray", reason="prefect-ray is not installed. Remedy: make cluster")


def test_weights_travel_as_arrays_of_bytes_whatever_their_type() -> None:
    from flows.cluster.learner_node import packed, unpacked

    sent = {"one": torch.tensor(0.5), "many": torch.randn(3, 4).bfloat16()}
    back = unpacked({name: packed(tensor) for name, tensor in sent.items()})
    assert all(back[name].dtype == tensor.dtype and torch.equal(back[name], tensor) for name, tensor in sent.items())


def test_what_nodes_cannot_do_is_refused_with_a_remedy() -> None:
    from flows.cluster.ray import refuse_what_nodes_cannot_do

    for change, told in (("bank.index=weaviate", "servers.weaviate = null"), ("retrieval.recency_s=300", "recency_s")):
        config = composed("quick", [*SMALL, change], ROOT / "conf")
        with pytest.raises(ConfigError, match=f"{told}.*Remedy"):
            refuse_what_nodes_cannot_do(config)


def test_addresses_that_the_heads_environment_names_travel_to_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.cluster.ray import _with_known_addresses

    config = composed("quick", [*SMALL, "bank.index=weaviate", "servers.extractor=[http://two:8001]"], ROOT / "conf")
    monkeypatch.setenv("CRL_ACTOR_URLS", "http://one:8000,http://one:8002")
    monkeypatch.setenv("CRL_WEAVIATE_URL", "https://bank:8443?grpc=50052")
    sent = _with_known_addresses(Home(config, "run", str(ROOT), {})).config.servers
    monkeypatch.delenv("CRL_ACTOR_URLS")
    monkeypatch.delenv("CRL_WEAVIATE_URL")
    found = addresses(sent)
    assert (found.actor, found.extractor) == (("http://one:8000", "http://one:8002"), ("http://two:8001",))
    assert found.weaviate == WeaviateAddress("bank", 8443, 50052, secure=True)
