"""A context longer than the model's is refused with the model's figure, before a text is read past its positions."""

import json
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, Phi3Config
from typer.testing import CliRunner

from crl.cli.main import app
from crl.config.compose import composed
from crl.engine.open import open_engine
from crl.errors import ConfigError
from crl.models.context import changing_rope_in, check_named_context, longest_context, positions_in
from crl.models.resolve import save_model
from crl.tasks.sets import TaskSets
from crl.tiny.tokenizer import train_tokenizer
from crl.tiny.warm_start import warm_start

CONF = Path(__file__).parents[2] / "conf"
# What the makers' config.json say of the length, and the longest text that the model was made for.
PUBLISHED = {
    "SmolLM2": ({"max_position_embeddings": 8192, "rope_scaling": None}, 8192),
    "GPT-2": ({"n_positions": 1024, "n_ctx": 1024}, 1024),
    "MPT": ({"max_seq_len": 2048}, 2048),
    "BLOOM": ({"seq_length": 2048}, 2048),
    "Mamba": ({"state_size": 16}, None),
    "Qwen2.5 with yarn": (
        {
            "max_position_embeddings": 32768,
            "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
        },
        131_072,
    ),
    "gpt-oss": (
        {
            "max_position_embeddings": 131_072,
            "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096},
        },
        131_072,
    ),
    "Llama 3.2": (
        {
            "max_position_embeddings": 131_072,
            "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "original_max_position_embeddings": 8192},
        },
        131_072,
    ),
    "Phi-3 128k": (
        {
            "max_position_embeddings": 131_072,
            "original_max_position_embeddings": 4096,
            "rope_scaling": {"type": "longrope", "long_factor": [1.0], "short_factor": [1.0]},
        },
        131_072,
    ),
    "Vicuna 16k": (
        {
            "max_position_embeddings": 4096,
            "max_sequence_length": 16_384,
            "rope_scaling": {"type": "linear", "factor": 4.0},
        },
        16_384,
    ),
    "Gemma 3, its text part": (
        {
            "text_config": {
                "max_position_embeddings": 131_072,
                "rope_parameters": {
                    "full_attention": {"rope_type": "linear", "factor": 1.0},
                    "sliding_attention": {"rope_type": "default"},
                },
            }
        },
        131_072,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_length_is_what_the_makers_say(name):
    values, positions = PUBLISHED[name]
    assert positions_in(values) == positions


def test_a_loaded_config_says_the_same_as_its_file():
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}
    assert positions_in(LlamaConfig(max_position_embeddings=64, rope_scaling=yarn).to_dict()) == 256


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def short(request, tmp_path_factory):
    """A model of 64 positions."""
    shape = {
        "llama": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "max_position_embeddings": 64},
        "gpt2": {"n_embd": 16, "n_layer": 1, "n_positions": 64},
    }[request.param]
    config = AutoConfig.for_model(request.param, vocab_size=300, num_attention_heads=2, **shape)
    folder = tmp_path_factory.mktemp("short") / request.param
    save_model(AutoModelForCausalLM.from_config(config), train_tokenizer(["go"], 300), folder)
    return folder


def asking(folder: Path, context_tokens: int):
    changes = [f"models.{role}.source={folder}" for role in ("actor", "extractor")]
    changes += ["rollout.sampling.max_new_tokens=1", "extractor.distil.sampling.max_new_tokens=8"]
    return composed("quick", [*changes, f"models.actor.context_tokens={context_tokens}",
                              "models.extractor.context_tokens=64"], CONF)  # fmt: skip


REFUSED = r"models\.actor\.context_tokens = 65: .* has 64 positions .*Remedy: models\.actor\.context_tokens=64 or less"


def test_the_first_stage_and_every_engine_refuse_it(short, tmp_path):
    config = asking(short, 65)
    with pytest.raises(ConfigError, match=REFUSED):
        warm_start(config, TaskSets({}, {}, "", {}), tmp_path)
    with pytest.raises(ConfigError, match=REFUSED):
        open_engine(config, "actor", str(short), sessions=1, turnstile=None)
    open_engine(asking(short, 64), "actor", str(short), sessions=1, turnstile=None)[2].close()


def test_check_refuses_it_without_loading_a_model(short):
    with pytest.raises(ConfigError, match=REFUSED):
        check_named_context("actor", str(short), 65)
    arguments = ["check", "--profile", "quick", f"models.actor.source={short}", "models.actor.context_tokens=65"]
    told = CliRunner().invoke(app, [*arguments, "rollout.sampling.max_new_tokens=1"])
    assert told.exit_code == 2
    assert "has 64 positions" in told.stderr.replace("\n", " ")
    check_named_context("actor", "owner/not-here", 65)  # nothing is known of it yet


def test_a_config_that_is_not_json_is_refused_with_a_remedy(tmp_path):
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match=r"config\.json: not JSON .* Remedy: copy the model anew"):
        check_named_context("actor", str(tmp_path), 64)
    (tmp_path / "config.json").write_text(json.dumps({"n_positions": 64}))
    check_named_context("actor", str(tmp_path), 64)


LONG = {"rope_type": "longrope", "rope_theta": 1e4, "short_factor": [1.0] * 16, "long_factor": [4.0] * 16}
CHANGING = {
    "longrope": Phi3Config(
        hidden_size=64, num_attention_heads=2, max_position_embeddings=256, original_max_position_embeddings=64,
        rope_parameters=LONG, pad_token_id=0,
    ),
    "dynamic": LlamaConfig(max_position_embeddings=64, rope_parameters={"rope_type": "dynamic", "factor": 4.0}),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHANGING)
def test_a_rope_that_depends_on_the_length_is_refused_by_name_where_its_tables_change(kind, tmp_path):
    CHANGING[kind].save_pretrained(tmp_path)
    with pytest.raises(
        ConfigError, match=rf"context_tokens = 65: .*\({kind}\) .*above 64 tokens.*Remedy: .*=64 or less"
    ):
        check_named_context("actor", str(tmp_path), 65)
    check_named_context("actor", str(tmp_path), 64)
    assert longest_context(CHANGING[kind].to_dict()) == 64


def test_a_published_config_says_the_same_under_its_old_names():
    assert changing_rope_in(PUBLISHED["Phi-3 128k"][0]) == ("longrope", 4096)
    old = {"max_position_embeddings": 4096, "rope_scaling": {"type": "dynamic", "factor": 2.0}}
    assert changing_rope_in(old) == ("dynamic", 4096)


@pytest.mark.parametrize("kind", ["yarn", "linear", "llama3"])
def test_a_rope_that_does_not_depend_on_the_length_is_not_refused(kind):
    rope = {"rope_type": kind, "factor": 4.0, "original_max_position_embeddings": 64}
    assert changing_rope_in({"max_position_embeddings": 256, "rope_parameters": rope}) is None


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        ("models:/crl-agent@champion", "flows.registry.weights models:/crl-agent@champion"),
        ("mine.gguf", "fetch mine.gguf"),
    ],
)
def test_a_check_refuses_what_no_stage_takes_as_a_source(source, remedy):
    told = CliRunner().invoke(app, ["check", "--profile", "smol", f"models.actor.source={source}"])
    assert told.exit_code == 2
    assert remedy in told.stderr.replace("\n", " ")
