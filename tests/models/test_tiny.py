"""Scratch models: deterministic, Qwen2, stored and found again; what cannot be had says so."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM

from crl.config.play import ModelConfig
from crl.errors import ConfigError, DataError
from crl.models.resolve import load_model, resolve_device, save_model
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer

CONFIG = ModelConfig(hidden_size=32, layers=2, heads=4, context_tokens=64)


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(["go north", "go south"], 280)


def test_weights_depend_on_the_seed_only_and_leave_the_global_generator_alone(tokenizer):
    torch.manual_seed(1)
    first = build_model(CONFIG, tokenizer, 5).state_dict()
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    second, other = (build_model(CONFIG, tokenizer, seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["lm_head.weight"], other["lm_head.weight"])


def test_embeddings_are_not_tied_and_the_shape_is_as_configured(tokenizer):
    model = build_model(CONFIG, tokenizer, 0)
    assert model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()
    assert model.lm_head.weight.shape == (len(tokenizer), 32)
    assert model.config.num_hidden_layers == 2
    assert model.config.eos_token_id == tokenizer.eos_token_id
    assert model.dtype == torch.float32


def test_a_saved_model_comes_back_whole_and_replaces_an_older_one(tokenizer, tmp_path):
    folder = tmp_path / "models" / "actor"
    save_model(build_model(CONFIG, tokenizer, 1), tokenizer, folder)
    saved = build_model(CONFIG, tokenizer, 2)
    save_model(saved, tokenizer, folder)
    assert {path.name for path in folder.parent.iterdir()} == {"actor"}
    assert (folder / "model.safetensors").is_file()
    model, loaded = load_model(folder)
    assert all(torch.equal(tensor, saved.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert loaded.backend_tokenizer.to_str() == tokenizer.backend_tokenizer.to_str()
    assert not model.training


def test_threads_that_load_at_once_leave_tied_embeddings_tied(tokenizer, tmp_path):
    """transformers unties every model of the process while it loads one: threads must take turns."""
    shape = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    save_model(Qwen2ForCausalLM(shape), tokenizer, tmp_path / "tied")

    def one(n: int) -> bool:
        build_model(CONFIG, tokenizer, n)
        weights = load_model(tmp_path / "tied")[0].lm_head.weight
        return torch.equal(weights, load_file(tmp_path / "tied" / "model.safetensors")["model.embed_tokens.weight"])

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(one, range(24)))
    assert PreTrainedModel.tie_weights.__name__ == "tie_weights"


def test_saving_writes_nothing_to_the_terminal(tokenizer, tmp_path, capfd):
    save_model(build_model(CONFIG, tokenizer, 1), tokenizer, tmp_path / "model")
    assert capfd.readouterr() == ("", "")


def test_the_same_model_is_saved_as_the_same_bytes(tokenizer, tmp_path):
    for name in ("one", "two"):
        save_model(build_model(CONFIG, tokenizer, 1), tokenizer, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_a_gpu_that_is_not_there_is_refused_and_auto_does_without(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ConfigError, match=r"run\.device = 'cuda': no CUDA device"):
        resolve_device("cuda")


@pytest.mark.parametrize("source", ["./nowhere", "nowhere", "a/b/c"])
def test_a_missing_folder_is_named(source):
    with pytest.raises(DataError, match=f"source = '{source}': no such folder"):
        load_model(source)


def test_an_empty_folder_names_the_files_it_needs(tmp_path):
    with pytest.raises(DataError, match=r"needs config\.json, model\.safetensors and tokenizer\.json"):
        load_model(tmp_path)


def test_a_hub_name_that_cannot_be_had_says_how_to_go_on(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"(?s)source = 'nobody/no-such-model'.*give its folder"):
        load_model("nobody/no-such-model")


def test_scratch_is_not_a_stored_model():
    with pytest.raises(ConfigError, match="build_model"):
        load_model("scratch")
