"""A checkout as a complete run leaves it: real models (random, tiny), a real bank with measured effects, real figures."""

import shutil
from pathlib import Path

import pytest

from crl.bank.effect import Use
from crl.config import Config, from_mapping
from crl.config.compose import compose, dump
from crl.embedding.open import load_embedder
from crl.evaluation.statistics import summarise
from crl.files import write_json
from crl.publish.outputs import AgentId
from crl.round.state import lineage_id, run_inputs
from crl.tasks.sets import SPLITS, TaskSets, instances, write
from tests.bank.samples import add, apply, open_bank
from tests.flows.agents import figures, write_models

SITUATION = "reach the stairs\nn:open e:wall s:open w:wall stairs:unseen"
TEXTS = ("go to open cells", "wait / rest here", "take the key at (3,4) first")


@pytest.fixture(scope="session")
def small() -> Config:
    changes = ["tasks.train_levels=4", "tasks.eval_levels=6", "models.actor.hidden_size=32", "models.actor.layers=1"]
    values = compose("quick", changes)
    values["tasks"]["mix"] = {"room": values["tasks"]["mix"]["room"]}
    return from_mapping(values)


@pytest.fixture(scope="session")
def played(tmp_path_factory: pytest.TempPathFactory, small: Config) -> Path:
    """Never written to: a test that changes it takes a copy."""
    root = tmp_path_factory.mktemp("played")
    (root / "params.yaml").write_text(dump(small.model_dump(mode="json")))
    for split in SPLITS:
        write(instances(small, "room", split), root / "data/mix/room" / f"{split}.parquet")
    write_models(root / "runs/warm_start", small, 1)
    write_models(root / "models", small, 2)
    write_bank(root, TEXTS)
    return root


def write_bank(root: Path, texts: tuple[str, ...]) -> None:
    """The first text helped, the second did harm. With the figures that belong to this bank."""
    shutil.rmtree(root / "ledger", ignore_errors=True)
    bank = open_bank(root / "ledger", embedder=load_embedder("minilm"))
    ids = apply(bank, "c1", *map(add, texts), scope="room", key_text=SITUATION, round=1).added
    for id_, won in zip(ids, (4, 0), strict=False):
        bank.record_uses([Use(id_, 2, group, 4, won, 4, 2) for group in range(8)])
    bank.snapshot(root / "bank/round_0002")
    bank.close()
    write_figures(root)


def write_figures(root: Path) -> None:
    """As the stage `evaluate` would: of the agent that lies there."""
    from crl.config import load

    config = load(root / "params.yaml")
    tasks = TaskSets.read(root / "data/mix", ["room"])
    inputs = run_inputs(*(root / "runs/warm_start" / role for role in ("actor", "extractor")), tasks.digest)
    agent = AgentId.put_out(lineage_id(config, inputs), root / "models", root / "bank")
    rows = figures(tasks.evaluation, {"before": 1, "after": {"free": 3, "guided": 5}})
    write_json(root / "metrics/evaluate.json", summarise(rows, samples=100, confidence=0.95, seed=7).as_json())
    write_json(root / "records/evaluation_episodes.json", {"agent": agent.id, "rows": []})
