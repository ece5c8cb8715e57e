"""A run's prompts in MLflow's prompt registry: as its models read them, a version per content, named with the run."""

import json
from pathlib import Path

import mlflow
import pytest

from crl.config import Config, from_mapping
from crl.config.compose import compose
from flows.tracking.prompts import PLAYED, record_prompts, templates
from flows.tracking.recording import recorded, tracking_uri
from tests.flows.probes import runs

ROOT = Path(__file__).parents[2]


def asking(style: str, gate: bool = True) -> Config:
    told = [
        f"actor.prompts={style}",
        f"extractor.prompts={style}",
        f"actor.gate.enabled={gate}",
        "actor.ask.enabled=true",
    ]
    return from_mapping(compose("quick", told, ROOT / "conf"))


@pytest.mark.parametrize("style", ["full", "brief", "compact"])
def test_a_template_names_what_the_prompt_is_given(style):
    texts = {name: "\n".join(message.content for message in made) for name, made in templates(asking(style)).items()}
    assert texts.keys() == {"actor", "gate", "ask", "distil", "distil-nothing-retrieved", "merge"}
    assert all(
        f"{{{{{name}}}}}" in texts["actor"] for name in ("goal", "observation", "experience", "next_observation")
    )
    assert all(f"{{{{{name}}}}}" in texts["gate"] for name in ("situation", "experience", "mean_success"))
    assert "{{experience}}" in texts["distil"]
    assert "{{experience}}" not in texts["distil-nothing-retrieved"]
    assert "{{another_experience}}" in texts["merge"]
    assert "{{question}}" in texts["ask"]


def test_prompts_are_registered_once_per_content_and_their_versions_are_in_the_run(checkout):
    config = asking("full")
    for stage, purposes in (("co_evolve", None), ("evaluate", PLAYED)):
        with recorded(config, stage) as (record, _):
            record_prompts(record, config, purposes)
    once = asking("full").model_copy(update={"actor": config.actor.model_copy(update={"inject": "user"})})
    with recorded(once, "co_evolve") as (record, _):
        record_prompts(record, once)
        record_prompts(record, once)  # a stage that goes on after a kill
    client = mlflow.MlflowClient(tracking_uri())
    [evaluated] = runs("evaluate")
    assert evaluated.data.tags["crl.prompt.gate"] == "crl-gate-full/1"
    assert "crl.prompt.merge" not in evaluated.data.tags
    linked = {
        run.data.tags["crl.prompt.actor"]: json.loads(run.data.tags["mlflow.linkedPrompts"])
        for run in runs("co_evolve")
    }
    assert linked.keys() == {"crl-actor-full/1", "crl-actor-full/2"}
    assert {"name": "crl-actor-full", "version": "2"} in linked["crl-actor-full/2"]
    prompts = client.search_prompts(f"experiment_id = '{evaluated.info.experiment_id}'")
    assert {prompt.name for prompt in prompts} >= {
        "crl-actor-full",
        "crl-gate-full",
        "crl-distil-full",
        "crl-merge-full",
    }
    assert len(client.search_prompt_versions("crl-actor-full")) == 2
    assert len(client.search_prompt_versions("crl-gate-full")) == 1
    gate = client.load_prompt("prompts:/crl-gate-full/1")
    said = gate.format(situation="a maze", experience="go left", mean_success="0.5", episodes="9")
    assert [message["role"] for message in said] == ["system", "user"]
    assert "Average score of the agent on this kind of task so far: 0.5 over 9 episodes." in said[1]["content"]
