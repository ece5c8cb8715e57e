"""A run's agent goes into the world as three folders that the hub and the next run can read, and takes no secret with it."""

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard
from typer.testing import CliRunner

from crl.bank.snapshot import FILE_NAME, read_records
from crl.bank.start import start_of
from crl.cli import main
from crl.config import load
from crl.files import digest_file, digest_folder
from crl.models.resolve import load_model
from crl.publish.outputs import BaseModel
from tests.bank.samples import open_bank
from tests.publish.conftest import TEXTS, write_bank, write_figures


def call(*arguments: str, ok: bool = True) -> str:
    done = CliRunner().invoke(main.app, [str(each) for each in arguments])
    assert (done.exit_code == 0) == ok, done.output
    return done.output


@pytest.fixture(scope="module")
def published(played: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published") / "agent"
    call("publish", folder, "--root", played, "--license", "mit")
    return folder


@pytest.fixture
def copy(played: Path, tmp_path: Path) -> Path:
    return shutil.copytree(played, tmp_path / "copy")


def test_models_and_bank_are_those_of_the_run(played, published):
    for role in ("actor", "extractor"):
        load_model(published / role)
        assert digest_file(published / role / "model.safetensors") == digest_file(
            played / "models" / role / "model.safetensors"
        )
    assert digest_file(published / "bank" / FILE_NAME) == digest_file(played / "bank/round_0002" / FILE_NAME)


def test_cards_hold_the_runs_figures_with_intervals_and_where_they_come_from(played, published):
    figures = json.loads((played / "metrics/evaluate.json").read_text())
    actor, extractor = (ModelCard.load(published / role / "README.md") for role in ("actor", "extractor"))
    results = {(each.dataset_name, each.metric_name): each for each in actor.data.eval_results}
    for task in ("room", "all"):
        for arm in ("free", "guided"):
            told, cell = results[task, f"success, {arm}"], figures["after"][arm][task]
            assert told.metric_value == pytest.approx(cell["success"], abs=1e-4)
            assert told.metric_args["low"] == pytest.approx(cell["success_low"], abs=1e-4)
            assert (told.metric_args["confidence"], told.metric_args["episodes"]) == (0.95, 6)
            assert told.dataset_revision in actor.text
    [gain, _] = sorted(extractor.data.eval_results, key=lambda each: each.dataset_name, reverse=True)
    assert gain.metric_value == pytest.approx(
        figures["difference"]["guided_minus_free"]["after"]["room"]["success"], abs=1e-4
    )
    assert (actor.data.license, actor.data.library_name) == ("mit", "transformers")
    agent = json.loads((played / "records/evaluation_episodes.json").read_text())["agent"]
    for text in (actor.text, extractor.text, DatasetCard.load(published / "bank/README.md").text):
        assert agent in text
        assert "83.3% [" in text
        assert "NetHack General Public License" in text
        assert "One training run of one seed" in text


def test_the_banks_card_names_its_file_and_counts_what_was_measured(published):
    card = DatasetCard.load(published / "bank/README.md")
    [config] = card.data.to_dict()["configs"]
    assert (published / "bank" / config["data_files"][0]["path"]).is_file()
    assert "| `room` | 3 | 2 | 1 | 1 |" in card.text
    assert digest_file(published / "bank" / FILE_NAME) in card.text


def test_the_same_run_gives_the_same_bytes_and_nothing_is_overwritten(played, published, tmp_path):
    call("publish", tmp_path / "again", "--root", played, "--license", "mit")
    assert digest_folder(tmp_path / "again") == digest_folder(published)
    before = digest_folder(published)
    assert "not empty" in call("publish", published, "--root", played, "--license", "mit", ok=False)
    assert digest_folder(published) == before


def test_the_next_run_starts_from_a_published_bank(played, published, tmp_path, monkeypatch):
    monkeypatch.setenv("CRL_BANKS", str(tmp_path / "shelf"))
    told = call("bank", "import", published, "--params", played / "params.yaml")
    digest = told.strip().rpartition("bank.start=")[2]
    assert digest in (published / "bank/README.md").read_text()
    config = load(played / "params.yaml")
    config = config.model_copy(update={"bank": config.bank.model_copy(update={"start": digest})})
    start, theirs = start_of(config, "minilm", 384), read_records(played / "bank/round_0002" / FILE_NAME)[0]
    from crl.embedding.open import load_embedder

    bank = open_bank(tmp_path / "bank", embedder=load_embedder("minilm"))
    assert bank.adopt(start.records, start.known, digest) == 0
    assert [(each.text, each.key_text, each.origin.episode) for each in bank.entries("room")] == [
        (each.entry.text, each.entry.key_text, each.entry.origin.episode) for each in theirs
    ]
    assert {each.origin.completion_id for each in bank.entries()} == {f"{digest}#{each.entry.id}" for each in theirs}
    bank.close()


SECRETS = {
    "use hf_" + "abcDEF0123456789abcDEF0123": "an access token",
    "the key is AKIA" + "ABCDEFGHIJKLMNOP": "an access token",
    "log in with password: correct-horse": "a password",
    "-----BEGIN RSA PRIVATE " + "KEY-----": "a private key",
    "clone https://bob:hunter22@git.example.org/x": "a password",
    "ask ann.lee@example.org": "an e-mail address",
    "look into /home/ann/notes": "a path of a machine",
    "open C:\\Users\\Ann\\notes": "a path of a machine",
}


def test_entries_with_secrets_or_paths_are_refused_with_their_places_and_can_be_left_out(copy, tmp_path):
    write_bank(copy, (*TEXTS, *(f"go up\n{text}" for text in SECRETS)))
    target = tmp_path / "agent"
    told = call("publish", target, "--root", copy, "--license", "mit", ok=False)
    assert not target.exists()
    records = read_records(copy / "bank/round_0002" / FILE_NAME)[0]
    bad = {record.entry.id: record.entry.text.partition("\n")[2] for record in records if "\n" in record.entry.text}
    for id_, text in bad.items():
        [line] = [line for line in told.splitlines() if line.startswith(f"entry {id_[:8]}, text: ")]
        assert SECRETS[text] in line
        assert " at 2:" in line
        assert text not in line
    without = [part for id_ in bad for part in ("--without", id_)]
    call("publish", target, "--root", copy, "--license", "mit", *without)
    assert {record.entry.text for record in read_records(target / "bank" / FILE_NAME)[0]} == set(TEXTS)
    assert f"{len(bad)} entries more than are published" in (target / "actor/README.md").read_text()


def test_a_path_in_a_models_files_is_refused(copy, tmp_path):
    file = copy / "models/extractor/config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"_name_or_path": "/home/ann/models/mine"}))
    write_figures(copy)
    told = call("publish", tmp_path / "agent", "--root", copy, "--license", "mit", ok=False)
    assert "extractor/config.json: a path of a machine (/home…)" in told
    assert sorted(each.name for each in tmp_path.iterdir()) == ["copy"]


def test_figures_of_another_agent_and_an_unknown_licence_are_refused(copy, tmp_path):
    told = call("publish", tmp_path / "agent", "--root", copy, ok=False)
    assert "no licence is known" in told
    assert "--license" in told
    (copy / "models/actor/config.json").open("a").write("\n")
    assert "figures of another agent" in call(
        "publish", tmp_path / "agent", "--root", copy, "--license", "mit", ok=False
    )


def test_an_adapter_alone_names_its_base_as_the_hub_does(copy, tmp_path):
    assert "no model in" in call("publish", tmp_path / "a", "--root", copy, "--license", "mit", "--adapter", ok=False)
    folder = copy / "models/actor/adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "smollm2-135m-instruct", "r": 4})
    )
    (folder / "base.json").write_text(json.dumps({"source": "smollm2-135m-instruct", "digest": "d"}))
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    write_figures(copy)
    assert "not on the hub" in call(
        "publish", tmp_path / "a", "--root", copy, "--license", "mit", "--adapter", ok=False
    )
    call("publish", tmp_path / "whole", "--root", copy, "--license", "mit")
    assert not (tmp_path / "whole/actor/adapter").exists()
    params = (copy / "params.yaml").read_text()
    (copy / "params.yaml").write_text(params.replace("source: scratch", "source: smollm2-135m-instruct"))
    write_figures(copy)
    call("publish", tmp_path / "b", "--root", copy, "--adapter")
    card = ModelCard.load(tmp_path / "b/actor/README.md")
    assert (card.data.base_model, card.data.license) == ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")
    assert card.data.library_name == "peft"
    for name, field in (("adapter_config.json", "base_model_name_or_path"), ("base.json", "source")):
        assert json.loads((tmp_path / "b/actor" / name).read_text())[field] == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_what_a_base_model_is_called_and_its_licence(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert BaseModel.of(str(folder)) == BaseModel("mine")
    (folder / "README.md").write_text("---\nlicense: openrail\n---\n# mine\n")
    assert BaseModel.of(str(folder)) == BaseModel("mine", None, "openrail")
    assert BaseModel.of("owner/model") == BaseModel("owner/model", "owner/model")
    assert BaseModel.of("scratch").license is None
