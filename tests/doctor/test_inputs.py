"""What `crl doctor` says of models, task sets, the sandbox, and of checks that fail themselves."""

import threading

import pytest

from crl.doctor import Finding, examine
from crl.doctor.examine import CHECKS


def model(folder):
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    return folder


def test_a_models_folder_must_hold_all_of_it(find, tmp_path):
    model(tmp_path / "mine")
    assert {finding.status for finding in find("models", "models.actor.source=./mine")} == {"ok"}
    (tmp_path / "mine/tokenizer.json").unlink()
    [finding] = [one for one in find("models", "models.actor.source=./mine") if one.status == "fail"]
    assert "tokenizer.json missing" in finding.seen


@pytest.mark.parametrize("source", ["./absent", "just-a-name", "a/b/c"])
def test_a_name_that_is_neither_a_folder_nor_on_the_hub_fails(find, source):
    finding = find("models", f"models.extractor.source={source}")[1]
    assert (finding.status, source in finding.seen) == ("fail", True)


def test_a_hub_name_offline_must_be_cached(find, monkeypatch):
    for field in ("models.actor.source", "models.embedder"):
        findings = find("models", f"{field}=owner/model-1B", environment={"HF_HUB_OFFLINE": "1"})
        [finding] = [one for one in findings if one.status == "fail"]
        assert field in finding.seen
        assert finding.remedy


def test_an_embedder_that_is_a_server_needs_no_model_here(find):
    findings = find("models", "models.embedder=owner/none", environment={"CRL_EMBEDDER_URLS": "http://e:1"})
    assert {finding.status for finding in findings} == {"ok"}


def test_task_sets_that_are_not_made_yet_are_no_fault_and_lost_sources_are(find, tmp_path):
    assert find("data")[0].status == "ok"
    [lost, *_] = find("data", "tasks.mix.maze.source=./levels.jsonl")
    assert lost.status == "fail"
    assert "tasks.mix.maze.source" in lost.seen
    (tmp_path / "levels.jsonl").touch()
    assert find("data", "tasks.mix.maze.source=./levels.jsonl")[0].status == "ok"
    left_out = tmp_path / "data/tasks/room"
    left_out.mkdir(parents=True)
    (left_out / "unavailable.txt").write_text("no engine")
    for part in ("train", "eval"):
        (tmp_path / "data/mix/maze").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"data/mix/maze/{part}.parquet").touch()
    warned, missing, there = find("data")
    assert (warned.status, "no engine" in warned.seen) == ("warn", True)
    assert "maze" not in missing.seen
    assert "maze" in there.seen


def test_docker_is_asked_for_swe_tasks_only_and_a_lost_engine_or_image_fails(find, tmp_path):
    swe = ("tasks.mix.room.family=swe", "envs.call_timeout_s=400")
    assert find("sandbox") == []
    [lost] = find("sandbox", *swe, environment={"DOCKER_HOST": f"unix://{tmp_path}/no.sock"})
    assert lost.status == "fail"
    assert "docker/engine.sh" in lost.remedy
    [absent] = find("sandbox", *swe, "envs.sandbox.image=crl/never-built:0")
    assert absent.status == "fail"
    assert absent.remedy


def test_a_late_or_broken_check_is_a_failure_and_hides_no_other(situation, monkeypatch):
    ended = threading.Event()

    def late(_):
        ended.wait(60)
        yield Finding("ok", "at last")

    def broken(_):
        raise KeyError("oops")
        yield

    for function in (late, broken):
        monkeypatch.setitem(CHECKS, function.__name__, function)
    found = {one.check: one for one in examine(situation(deadline_s=1.5), only=("late", "broken", "python"))}
    ended.set()
    assert (found["late"].status, found["broken"].status, found["python"].status) == ("fail", "fail", "ok")
    assert "1.5 s" in found["late"].seen
    assert "oops" in found["broken"].seen


def test_every_failure_and_warning_has_a_remedy(situation):
    swe = ("tasks.mix.room.family=swe", "envs.call_timeout_s=400", "models.actor.source=a/b", "bank.index=weaviate")
    environment = {"PREFECT_API_URL": "http://127.0.0.1:1", "CRL_WEAVIATE_URL": "x", "HF_HUB_OFFLINE": "1"}
    findings = examine(situation(*swe, environment=environment))
    assert len(findings) > 10
    assert all(finding.remedy for finding in findings if finding.status != "ok")


def test_a_context_longer_than_the_models_fails_with_its_figure(find, tmp_path):
    (model(tmp_path / "mine") / "config.json").write_text('{"max_position_embeddings": 128}')
    asked = ("models.actor.source=./mine", "models.actor.context_tokens=129")
    [finding] = [one for one in find("models", *asked) if one.status == "fail"]
    assert "models.actor.context_tokens = 129: ./mine has 128 positions" in finding.seen
    assert "models.actor.context_tokens=128" in finding.remedy
    asked = (asked[0], "models.actor.context_tokens=128")
    assert {one.status for one in find("models", *asked)} == {"ok"}
