"""Models of several architectures: what they name their embeddings is theirs, the vocabulary is found all the same."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from crl.engine.vllm.serve import servable
from crl.errors import ConfigError
from crl.models.resolve import load_model, save_model, vocabulary_in, vocabulary_of
from crl.tiny.tokenizer import train_tokenizer

VOCABULARY = 320
SIZES = {
    "gpt2": {"n_embd": 64, "n_layer": 1, "n_head": 2},
    "gpt_neox": {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
    "opt": {
        "hidden_size": 64, "ffn_dim": 64, "word_embed_proj_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
    },
    "llama": {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},
}  # fmt: skip
TABLES = {
    "gpt2": "transformer.wte.weight", "gpt_neox": "gpt_neox.embed_in.weight", "opt": "model.decoder.embed_tokens.weight",
    "llama": "model.embed_tokens.weight",
}  # fmt: skip


def model_of(kind: str, tied: bool = True):
    config = AutoConfig.for_model(kind, vocab_size=VOCABULARY, tie_word_embeddings=tied, **SIZES[kind])
    return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("kind", SIZES)
def test_the_vocabulary_is_that_of_the_input_embeddings_whatever_their_name(kind, tmp_path):
    model = model_of(kind)
    assert TABLES[kind] in model.state_dict()
    assert vocabulary_of(model) == VOCABULARY
    model.config.save_pretrained(tmp_path)
    assert vocabulary_in(tmp_path) == VOCABULARY


def test_a_model_without_a_table_of_embeddings_is_refused_with_a_remedy():
    model = model_of("llama")
    model.set_input_embeddings(torch.nn.Identity())
    with pytest.raises(ConfigError, match=r"LlamaForCausalLM: no table of input embeddings.*Remedy"):
        vocabulary_of(model)


@pytest.mark.parametrize("kind", SIZES)
def test_what_vllm_serves_has_an_output_layer_of_its_own_with_the_same_values(kind, tmp_path):
    model = model_of(kind)
    save_model(model, train_tokenizer(["go north to the door"], VOCABULARY), tmp_path / "model")
    served, _ = load_model(servable(tmp_path / "model", tmp_path / "served", device="cpu"))
    table, output = served.get_input_embeddings().weight, served.get_output_embeddings().weight
    assert table.data_ptr() != output.data_ptr()
    assert torch.equal(table, output)
