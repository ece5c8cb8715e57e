"""The served agent: it answers an observation as it would have played, in this process and over HTTP."""

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException

from crl.bank.retrieval import Retriever
from crl.bank.snapshot_reader import FrozenBank
from crl.config import from_mapping
from crl.config.compose import compose
from crl.embedding.open import load_embedder
from crl.engine.open import open_engine
from crl.envs.hosting.pool import EnvPool
from crl.episode.loop import play
from crl.episode.plan import EpisodeSpec
from crl.episode.player import Player
from crl.errors import DataError
from crl.serve.agent import Agent, Exchange, Request
from crl.tasks.sets import TaskSets
from crl.types import EpisodeKey
from flows.local.process import Launch, free_port, http_ok, spawn
from flows.registry import agents
from flows.tracking.model_versions import pyfunc_folder
from tests.flows.agents import ADVICE, write_bank, write_models

CONF = Path(__file__).parents[2] / "conf"
OPTIONS = [
    "tasks.eval_levels=1",
    "tasks.train_levels=1",
    "rollout.sampling.temperature=0.0",
]


@pytest.fixture(scope="module")
def config():
    return from_mapping(compose("quick", OPTIONS, CONF))


@pytest.fixture(scope="module")
def parts(config, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("agent") / "agent"
    write_models(folder, config, seed=3)
    write_bank(folder / "bank")
    agent = agents.AgentId("abcdef012345", 0, "a", "b", "c")
    agents.describe(folder, agent, config)
    return folder


@pytest.fixture(scope="module")
def model_folder(parts) -> Path:
    return pyfunc_folder(parts, agents.serving())


@pytest.fixture(scope="module")
def loaded(model_folder):
    return mlflow.pyfunc.load_model(str(model_folder))


ROW = {
    "task": "room",
    "goal": "reach the stairs",
    "observation": "n:open e:wall s:open w:wall stairs:unseen",
    "actions": ["north", "east", "south", "west"],
}


async def play_one(config, folder: Path, spec: EpisodeSpec):
    """One guided episode as evaluation plays it."""
    _, chat, engine = open_engine(config, "actor", str(folder / "actor"), sessions=1, turnstile=None)
    embedder = load_embedder("minilm")
    retriever = Retriever(FrozenBank(folder / "bank", "minilm"), config.retrieval, embedder, seed=config.run.seed)
    with EnvPool(config.envs) as pool:
        player = Player(config, "evaluate", engine, chat, pool, retriever=retriever, records={}, expert=(engine, chat))
        try:
            return await play(player, spec)
        finally:
            engine.close()
            retriever.close()


def test_turn_by_turn_it_says_what_the_same_agent_says_in_an_episode(config, parts):
    task = TaskSets.generate(config).held_out["room"][0]
    episode = asyncio.run(play_one(config, parts, EpisodeSpec(EpisodeKey(-2, 0, 0), task, guided=True)))
    assert len({turn.completion.text for turn in episode.turns}) > 1  # it depends on the context
    agent = Agent.load(
        actor=parts / "actor",
        extractor=parts / "extractor",
        bank=parts / "bank",
        description=parts / "agent.json",
        evaluation=None,
    )
    names = ("north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest", "pick_up", "apply")
    history: tuple[Exchange, ...] = ()
    requests = []
    for turn in episode.turns:
        requests.append(Request("room", episode.goal, turn.observation, names, history=history))
        history += (Exchange(turn.observation, turn.completion.text, names),)
    answers = agent.answer(requests)
    with pytest.raises(DataError, match="row 0: actions holds a null"):  # MLflow makes the text "None" of it
        agent.answer([Request("room", "g", "n:open", ("north", None))])
    agent.close()
    assert [answer.reply for answer in answers] == [turn.completion.text for turn in episode.turns]
    assert {answer.experience for answer in answers} == {episode.guidance.shown} == {ADVICE}
    assert {answer.experience_ids for answer in answers} == {episode.guidance.entry_ids}


def test_it_loads_as_a_pyfunc_and_answers_a_batch_the_same_as_one_by_one(loaded):
    rows = pd.DataFrame(
        [ROW, ROW | {"task": "nowhere"}, ROW | {"observation": "n:wall e:open s:wall w:back stairs:unseen"}]
    )
    together = loaded.predict(rows)
    alone = pd.concat([loaded.predict(rows.iloc[[i]]) for i in range(3)], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)
    assert list(together.columns) == ["action", "reply", "gate", "experience", "experience_ids", "turns"]
    # Nothing is known of a task that was not played.
    assert list(together["experience"]) == [ADVICE, None, ADVICE]
    assert list(together["gate"]) == ["off", "empty", "off"]
    assert list(together["experience_ids"]) == [[f"entry-{ADVICE}"], [], [f"entry-{ADVICE}"]]


def test_the_turns_of_an_answer_are_the_history_of_the_next_request(loaded):
    moves = {"actions": ["north", "up"], "forms": ["say[{}]"]}
    [turn] = loaded.predict(pd.DataFrame([ROW | moves]))["turns"][0]
    assert turn["actions"] == moves["actions"]
    assert turn["forms"] == moves["forms"]
    rows = pd.DataFrame([ROW | {"history": [turn | {"valid": False}]}, ROW | {"history": [turn]}])
    assert len(loaded.predict(rows)) == 2


def test_sampled_answers_repeat_with_their_seed(loaded):
    rows = pd.DataFrame([ROW] * 4)

    def replies(seed: int) -> list[str]:
        return list(loaded.predict(rows, params={"temperature": 3.0, "seed": seed})["reply"])

    assert replies(1) == replies(1)
    assert len({replies(seed)[0] for seed in range(6)}) > 1


def test_the_input_example_of_the_model_is_answered(loaded):
    assert len(loaded.predict(loaded.input_example)) == 1


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({name: value for name, value in ROW.items() if name != "goal"}, "goal"),
        (ROW | {"actions": "north"}, "actions"),
        (ROW | {"actions": []}, "row 0: neither actions nor forms"),
        (ROW | {"observation": " "}, "row 0: observation is empty"),
        (ROW | {"observation": "n:open " * 4000}, "the context has room for"),
        (ROW | {"history": [{"observation": "n:open"}]}, "reply"),
        (
            ROW | {"history": [{"observation": "n:open", "reply": "north"}]},
            r"history\[0\] has neither actions nor forms",
        ),
        (ROW | {"goal": None}, "goal"),
        (ROW | {"observation": None}, "observation"),
        (ROW | {"history": [None]}, "history"),
        (ROW | {"history": [{"observation": None, "reply": "north", "actions": ["north"]}]}, "observation"),
        (ROW | {"history": [{"observation": "n:open", "reply": None, "actions": ["north"]}]}, "reply"),
        (
            ROW | {"history": [{"observation": "n:open", "reply": "north", "actions": ["north"], "reply_ids": [None]}]},
            "history|reply_ids",
        ),
    ],
    ids=[
        "missing",
        "not a list",
        "no actions",
        "blank",
        "too long",
        "half a turn",
        "a turn without its actions",
        "no goal",
        "null observation",
        "null turn",
        "turn without observation",
        "turn without reply",
        "null token",
    ],
)
def test_bad_input_is_refused_with_what_is_wrong(loaded, row, says):
    with pytest.raises(MlflowException, match=says) as refusal:
        loaded.predict(pd.DataFrame([row]))
    assert refusal.value.get_http_status_code() == 400


def test_files_of_another_embedder_are_refused(parts, tmp_path):
    write_bank(tmp_path / "bank")
    described = json.loads((parts / "agent.json").read_text())
    described["config"]["models"]["embedder"] = "no/such-embedder-folder/here"
    (tmp_path / "agent.json").write_text(json.dumps(described))
    with pytest.raises(DataError, match=r"models\.embedder"):
        Agent.load(
            actor=parts / "actor", extractor=parts / "extractor", bank=tmp_path / "bank",
            description=tmp_path / "agent.json", evaluation=None,
        )  # fmt: skip


def test_it_answers_over_http_and_refuses_bad_input_there(model_folder, loaded, tmp_path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model_folder), "--env-manager", "local",
               "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]  # fmt: skip
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    server = spawn("agent", Launch(command, {"PATH": path}, wait_s=400), folder=tmp_path, port=port, health="/ping")
    try:
        [answer] = ask(url, {"dataframe_records": [ROW]})["predictions"]
        assert answer == loaded.predict(pd.DataFrame([ROW])).to_dict("records")[0]
        [after] = ask(url, {"dataframe_records": [ROW | {"history": answer["turns"]}]})["predictions"]
        assert after == loaded.predict(pd.DataFrame([ROW | {"history": answer["turns"]}])).to_dict("records")[0]
        with pytest.raises(urllib.error.HTTPError) as refusal:
            ask(url, {"dataframe_records": [ROW | {"actions": []}]})
        assert refusal.value.code == 400
        assert "row 0: neither actions nor forms" in json.loads(refusal.value.read())["message"]
    finally:
        server.stop()
    assert not http_ok(f"{url}/ping")


def ask(url: str, body: dict) -> dict:
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)
