"""What `crl doctor` says of a named model's conversations before a run begins."""

import json

import pytest

from crl.models.chat import DATE
from tests.models.test_chat import CHATML, GEMMA, PARTS, THINKING, make_tokenizer

BOTH = ("models.actor.source=./mine", "models.extractor.source=./mine")


@pytest.fixture
def mine(tmp_path):
    """Makes the folder of a model with this template and these settings for generation."""

    def make(template: str, settings: dict | None = None, day: str | None = None) -> None:
        tokenizer = make_tokenizer(template)
        if day:
            tokenizer.init_kwargs[DATE] = day
        tokenizer.save_pretrained(tmp_path / "mine")
        (tmp_path / "mine/config.json").write_text('{"model_type": "llama", "eos_token_id": 1}')
        if settings is not None:
            (tmp_path / "mine/generation_config.json").write_text(json.dumps(settings))

    return make


def test_a_template_without_a_system_role_is_told_for_both_roles(find, mine):
    mine(GEMMA)
    told = find("chat", *BOTH)
    assert [one.status for one in told] == ["ok", "ok"]
    for role, one in zip(("actor", "extractor"), told, strict=True):
        assert f"models.{role}.source: chat template without a system role: system text leads" in one.seen
    mine(CHATML)
    assert "with a system role; a turn ends at " in find("chat", *BOTH)[0].seen


def test_all_that_ends_a_turn_is_told(find, mine):
    words = make_tokenizer(CHATML)
    mine(CHATML, {"eos_token_id": [words.convert_tokens_to_ids("<|end|>"), words.eos_token_id]})
    assert "a turn ends at <|end|>, <|im_end|>" in find("chat", *BOTH)[0].seen


@pytest.mark.parametrize(("day", "told"), [(None, "of the day of the warm start"), ("2024-02-29", "2024-02-29")])
def test_a_date_is_told_with_its_day(find, mine, day, told):
    mine("{{- strftime_now('%d %B %Y') -}}" + CHATML, day=day)
    assert f"it tells the date: {told}" in find("chat", *BOTH)[0].seen


def test_what_a_run_cannot_use_fails_with_a_remedy(find, mine, tmp_path):
    mine(PARTS)
    [actor, _] = find("chat", *BOTH)
    assert (actor.status, "no reply whose content is plain text" in actor.seen) == ("fail", True)
    assert "chat_template.jinja" in actor.remedy
    mine(THINKING, {"num_return_sequences": 3})
    [actor, _] = find("chat", *BOTH)
    assert (actor.status, "num_return_sequences" in actor.seen) == ("fail", True)
    (tmp_path / "mine/generation_config.json").unlink()
    told = find("chat", *BOTH, "models.actor.template_arguments={enable_thinkin: false}")
    assert [one.status for one in told] == ["fail", "ok"]
    assert "enable_thinkin" in told[0].seen


def test_settings_for_generation_that_will_be_repaired_are_a_warning(find, mine):
    mine(CHATML, {"temperature": 0.6, "top_p": 0.9})
    warned = [one for one in find("chat", *BOTH) if one.status == "warn"]
    assert len(warned) == 2
    assert "do_sample: true added, which temperature, top_p need" in warned[0].seen
    assert warned[0].remedy


def test_of_models_from_scratch_and_of_those_elsewhere_nothing_is_said(find):
    assert find("chat") == []
    assert find("chat", "models.actor.source=owner/not-here") == []
