"""`crl models show`: what would go wrong with a user's own model, by a small random one."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM
from typer.testing import CliRunner

from crl.cli.main import app
from crl.doctor.weights import TOLERANCE, ratio_off, worst_nats
from crl.learn.sequences import TrainingSequence
from crl.models.resolve import load_model, save_model
from tests.models.test_chat import CHATML, PARTS, THINKING, make_tokenizer

SIZES = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "max_position_embeddings": 256}
HEADS = {"num_attention_heads": 2, "num_key_value_heads": 2}
EVERY = [
    "system role", "ends of turns", "beginning", "date", "markers", "ids", "thoughts", "context", "vocabulary", "repairs",
    "number type", "log-probs", "ratio", "storing",
]  # fmt: skip


@pytest.fixture
def mine(tmp_path):
    """Makes the folder of a small model of this architecture."""

    def make(
        kind: str = "qwen2", template: str = CHATML, rows: int | None = None, fill: float | None = None, **differing
    ):
        tokenizer = make_tokenizer(template)
        config = AutoConfig.for_model(kind, vocab_size=rows or len(tokenizer), **SIZES, **HEADS, **differing)
        model = AutoModelForCausalLM.from_config(config).float()
        if fill is not None:
            torch.nn.init.constant_(model.lm_head.weight, fill)
        save_model(model, tokenizer, tmp_path / "mine")
        return str(tmp_path / "mine")

    return make


def show(*arguments: str) -> tuple[int, dict[str, dict]]:
    """Exit status, and the findings by the names of their checks, of which none is told twice."""
    ended = CliRunner().invoke(app, ["models", "show", "--json", *arguments])
    told = json.loads(ended.stdout)
    found = {finding["check"]: finding for finding in told}
    assert len(found) == len(told)
    return ended.exit_code, found


def test_a_model_that_is_well_shows_every_check(mine):
    status, found = show(mine())
    assert (status, list(found), {one["status"] for one in found.values()}) == (0, EVERY, {"ok"})
    assert "up to 256" in found["context"]["seen"]
    assert "<|im_start|>" in found["markers"]["seen"]


@pytest.mark.parametrize(
    ("differing", "arguments", "check", "seen"),
    [
        ({"template": PARTS}, (), "chat template", "no reply whose content is plain text"),
        ({}, ("--context-tokens", "1024"), "context", "has 256 positions"),
        ({"kind": "mistral", "sliding_window": 8}, (), "weights", "sliding"),
        ({"fill": float("nan")}, (), "weights", "nan nats"),
    ],
)
def test_what_would_go_wrong_is_named_with_its_remedy_and_ends_with_1(mine, differing, arguments, check, seen):
    status, found = show(mine(**differing), *arguments)
    assert (status, found[check]["status"]) == (1, "fail")
    assert seen in found[check]["seen"].lower()
    assert found[check]["remedy"]


@pytest.mark.parametrize(
    ("settings", "status", "seen"),
    [
        ({"eos_token_id": "2"}, "fail", "eos_token_id = '2' in generation_config.json"),
        ({"eos_token_id": [2.0]}, "fail", "not the number of a token, nor a list of some"),
        ([], "fail", "generation_config.json: no JSON object"),
        ({"eos_token_id": -1}, "ok", None),
    ],
)
def test_settings_for_generation_that_nobody_can_read_are_named_or_mean_nothing(mine, settings, status, seen):
    folder = Path(mine())
    (folder / "generation_config.json").write_text(json.dumps(settings))
    ended, found = show(str(folder), "--no-weights")
    assert ended == (status == "fail")
    assert seen is None or (seen in found["files"]["seen"] and found["files"]["remedy"])


def test_a_context_that_rests_on_the_longer_reading_of_a_linear_factor_is_warned_of(mine):
    rope = {"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}
    model = mine("llama", rope_parameters=rope)
    for asked, status in (("256", "ok"), ("512", "warn")):
        ended, found = show(model, "--no-weights", "--context-tokens", asked)
        assert (ended, found["context"]["status"]) == (0, status)
        assert "up to 1024, or 256 where" in found["context"]["seen"]
    assert "context_tokens=256 or less" in found["context"]["remedy"]


def test_the_end_of_a_long_word_is_shown_in_a_narrow_terminal(mine):
    ended = CliRunner(env={"COLUMNS": "60"}).invoke(app, ["models", "show", mine(), "--context-tokens", "123456789"])
    assert "models.<role>.context_tokens=256" in "".join(line.strip() for line in ended.output.splitlines())


def test_weights_in_pytorchs_own_format_are_tried(mine):
    folder = Path(mine())
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    status, found = show(str(folder))
    assert (status, list(found)) == (0, EVERY)


def test_tokens_beyond_the_models_rows_are_named(mine):
    _, found = show(mine(rows=len(make_tokenizer(CHATML)) - 1), "--no-weights")
    assert (found["vocabulary"]["status"], "has 1 tokens beyond" in found["vocabulary"]["seen"]) == ("warn", True)


def test_the_template_is_told_what_a_run_would_tell_it(mine):
    model = mine(template=THINKING)
    assert "<think>" not in show(model, "--no-weights")[1]["beginning"]["seen"]
    status, found = show(model, "enable_thinking=false")
    assert (status, list(found)) == (0, EVERY)
    assert found["beginning"]["seen"] == r"a reply begins after '<|im_start|>assistant\n<think>\n\n</think>\n\n'"


@pytest.mark.parametrize("told", ["enable_thinking", "enable_thinking=[1]", "=1"])
def test_what_is_no_argument_of_a_template_is_refused(mine, told):
    ended = CliRunner().invoke(app, ["models", "show", mine(), told])
    assert (ended.exit_code, "KEY=VALUE" in ended.output) == (2, True)


def test_an_argument_that_the_template_does_not_read_is_named(mine):
    status, found = show(mine(), "enable_thinking=false", "--no-weights")
    assert (status, found["chat template"]["status"]) == (1, "fail")


def test_a_name_that_is_not_here_is_refused_with_the_command_that_fetches_it():
    ended = CliRunner().invoke(app, ["models", "show", "owner/not-here"])
    assert ended.exit_code == 2
    assert "hf download owner/not-here" in ended.output


def test_log_probs_that_are_not_the_models_are_measured(mine):
    """0.3 nats off on one of two tokens: so far apart, and a ratio of e^0.3 or e^-0.3."""
    model = load_model(mine())[0].eval()
    with torch.no_grad():
        own = model(torch.tensor([[5, 6, 7]])).logits[0].log_softmax(-1)
    first, second = float(own[0, 6]), float(own[1, 7])
    well = TrainingSequence((5, 6, 7), (0, 1, 1), (0.0, first, second), 1.0)
    off = TrainingSequence((5, 6, 7), (0, 1, 1), (0.0, first, second - 0.3), 1.0)
    assert max(worst_nats(model, [well]), ratio_off(model, [well])) < TOLERANCE
    assert worst_nats(model, [well, off]) == pytest.approx(0.3, abs=1e-4)
    assert ratio_off(model, [well, off]) == pytest.approx(0.34986, abs=1e-4)
