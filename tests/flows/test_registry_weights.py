"""Weights of the registry as the source of another run: what an alias is at now, whole, by a name that stays."""

from pathlib import Path

import mlflow
import pytest
import torch

from crl.config import from_mapping
from crl.config.compose import compose
from crl.errors import DataError
from crl.files import digest_folder
from crl.models.resolve import load_model
from crl.models.shelf import fetched, located
from flows.registry import agents, weights
from flows.tracking.recording import recorded, tracking_uri
from tests.flows.agents import put_out

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config():
    layers = ["models.actor.layers=1", "models.extractor.layers=1"]
    return from_mapping(compose("quick", layers, ROOT / "conf"))


def register(config, seed: int) -> None:
    put_out(config, seed)
    with recorded(config, "prepare") as (record, _):
        agents.published(record, config, "abcdef012345")


def test_a_version_is_a_source_of_weights_by_a_name_that_outlives_its_alias(checkout, config, monkeypatch, capfd):
    monkeypatch.setenv("CRL_MODELS", str(checkout / "shelf"))
    register(config, seed=1)
    assert weights.main(["models:/crl-agent@candidate"]) == 0
    names = capfd.readouterr().out.split()
    actor, extractor = (f"crl-agent-1-{role}-{digest_folder(Path('models') / role)[:8]}" for role in agents.ROLES)
    assert names == [actor, extractor] == fetched()
    (model, _), (trained, _) = load_model(actor), load_model("models/actor")
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(model.parameters(), trained.parameters(), strict=True))
    with pytest.raises(DataError, match=r"python -m flows\.registry\.weights models:/crl-agent@candidate"):
        located("models:/crl-agent@candidate")

    register(config, seed=2)
    fresh = weights.fetch("models:/crl-agent@candidate")
    assert fresh[0].startswith("crl-agent-2-actor-")
    assert weights.fetch("models:/crl-agent/1") == names
    assert fetched() == sorted([*names, *fresh])


def test_what_is_no_version_or_is_not_what_was_registered_is_refused(checkout, config, monkeypatch, capfd):
    monkeypatch.setenv("CRL_MODELS", str(checkout / "shelf"))
    register(config, seed=1)
    for wrong in ("models:/crl-agent@nobody", "models:/crl-agent/9", "models:/other@champion", "crl-agent"):
        assert weights.main([wrong]) == 2
        said = capfd.readouterr().err
        assert ". Remedy: " in said
        assert ".." not in said
    mlflow.MlflowClient(tracking_uri()).set_model_version_tag("crl-agent", "1", "crl.digest.actor", "of another one")
    with pytest.raises(DataError, match="actor is not what was registered"):
        weights.fetch("models:/crl-agent/1")
    assert list((checkout / "shelf").iterdir()) == []
