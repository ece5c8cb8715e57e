"""Settings for generation as makers publish them: valid or not, the model can be saved after training."""

import json
import logging

import pytest
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from crl.errors import DataError
from crl.learn.state import UpdateCounts, read_state
from crl.learn.stored import save_state
from crl.models.resolve import load_model, save_model
from crl.tiny.tokenizer import train_tokenizer

# What was published -> what is kept of it, and what the log says.
PUBLISHED = {
    "llama-2-chat": (
        {"temperature": 0.6, "top_p": 0.9, "eos_token_id": 2, "max_length": 4096},
        {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "eos_token_id": 2, "max_length": 4096},
        "do_sample: true added, which temperature, top_p need",
    ),
    "greedy": ({"do_sample": False, "temperature": 0.6}, {"do_sample": False}, "left out: temperature = 0.6"),
    "no padding": (
        {"pad_token_id": -1, "eos_token_id": [2, 3]},
        {"eos_token_id": [2, 3]},
        "left out: pad_token_id = -1",
    ),
    "both": (
        {"pad_token_id": -1, "top_k": 20},
        {"do_sample": True, "top_k": 20},
        "do_sample: true added, which top_k need; left out: pad_token_id = -1",
    ),
    "temperature 0": (
        {"temperature": 0.0, "eos_token_id": 2},
        {"do_sample": False, "eos_token_id": 2},
        "do_sample: false in place of temperature = 0.0",
    ),
    "sampling at 0": (
        {"do_sample": True, "temperature": 0.0, "top_p": 0.9},
        {"do_sample": False},
        "do_sample: false in place of temperature = 0.0; left out: top_p = 0.9",
    ),
    "a word for a number": (  # as transformers has it
        {"temperature": "0.6", "eos_token_id": 2},
        {"do_sample": True, "temperature": "0.6", "eos_token_id": 2},
        "do_sample: true added, which temperature need",
    ),
    "valid": ({"do_sample": True, "temperature": 0.6}, {"do_sample": True, "temperature": 0.6}, ""),
}


@pytest.fixture
def published(tmp_path):
    """Makes a model's folder with these settings for generation."""
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    save_model(LlamaForCausalLM(LlamaConfig(vocab_size=300, **shape)), train_tokenizer(["go"], 300), tmp_path / "model")

    def make(settings: dict):
        (tmp_path / "model/generation_config.json").write_text(json.dumps(settings))
        return tmp_path / "model"

    return make


def said(caplog) -> list[str]:
    lines = [line.getMessage() for line in caplog.records if line.name.startswith("crl")]
    return [line.partition("changes: ")[2] for line in lines]


@pytest.mark.parametrize("name", PUBLISHED)
def test_settings_that_do_not_validate_are_repaired_and_the_log_says_how(name, published, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    given, kept, told = PUBLISHED[name]
    model, tokenizer = load_model(published(given))
    save_model(model, tokenizer, tmp_path / "exported")
    save_state(
        tmp_path / "checkpoint", model, read_state(model, torch.optim.SGD(model.parameters(), lr=0.1), UpdateCounts())
    )
    for folder in ("exported", "checkpoint"):
        saved = GenerationConfig.from_pretrained(tmp_path / folder).to_diff_dict()
        saved.pop("transformers_version")
        assert saved == kept
    assert said(caplog) == [told] * bool(told)
    load_model(tmp_path / "exported")  # what was repaired once is not told again
    assert said(caplog) == [told] * bool(told)


def test_settings_that_are_no_object_are_a_sentence_where_the_model_is_loaded(published):
    with pytest.raises(DataError, match=r"cannot be loaded: .*\nRemedy: the folder needs"):
        load_model(published([]))
