"""Parameters: what is valid runs, what is not is refused with field, value and remedy before anything runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from crl.cli.main import app
from crl.config import Config, field_names, from_mapping, load
from crl.config.base import described_fields, flatten
from crl.config.compose import compose, composed, profiles
from crl.errors import ConfigError

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"


@pytest.mark.parametrize("profile", profiles(CONF))
def test_every_profile_is_valid_and_names_itself(profile: str) -> None:
    assert composed(profile, folder=CONF).profile == profile


def test_params_yaml_is_the_composed_default_profile() -> None:
    assert yaml.safe_load((ROOT / "params.yaml").read_text()) == compose("quick", folder=CONF)


def test_a_profile_holds_every_field_so_that_dvc_sees_them_all() -> None:
    values = compose("quick", folder=CONF)
    for name in field_names(Config):
        node = values
        for part in name.split("."):
            assert part in node, f"{name} is missing in conf/base.yaml"
            node = node[part]


def test_every_field_is_documented() -> None:
    assert [name for name, _, meaning in described_fields(Config) if not meaning] == []


AGREED = {  # method.md, section 9: the text and the released configuration, or the second where the first is silent
    "models.actor.source": "Qwen/Qwen2.5-7B-Instruct",
    "models.extractor.source": "Qwen/Qwen3-4B-Thinking-2507",
    "models.embedder": "Qwen/Qwen3-Embedding-0.6B",
    "models.actor.context_tokens": 32768,
    "models.extractor.context_tokens": 65536,
    "rollout.groups": 16,
    "rollout.group_size": 8,
    "rollout.free_per_group": 4,
    "rollout.sampling": {"temperature": 0.99, "top_p": 0.99, "top_k": 100, "max_new_tokens": 4096},
    "extractor.distil.sampling": {"temperature": 1.0, "top_p": 0.99, "top_k": 50, "max_new_tokens": 8192},
    "extractor.distil.max_operations": 3,
    "extractor.merge.every_rounds": 5,
    "extractor.merge.items_per_call": 5,
    "learn.actor.optimizer.lr": 1e-6,
    "learn.actor.clip_low": 0.2,
    "learn.actor.dual_clip": None,
    "learn.actor.correction": {"level": "none", "mode": "truncate", "low": 0.0, "high": 2.0},
    "learn.actor.aggregation": "sequence",
    "learn.extractor.optimizer.lr": 1e-6,
    "learn.extractor.clip_low": 0.1,
    "learn.extractor.batch": 64,
    "learn.extractor.repeat_power": 0.5,
    "bank.capacity": 20000,
    "bank.evict": "fifo",
    "rounds.bank_warmup": 5,
    "rounds.extractor_head_start": 0,
    "rollout.guided_share": "fixed",
    "rollout.refill": {"signal": 1.0, "extra_groups": 0},
    "tasks.follow_signal": 0.0,
    "learn.actor.internalise": 0.0,
    "retrieval.k": 1,
    "retrieval.candidates": 16,
    "retrieval.usage_penalty": 0.4,
    "retrieval.demote_recent": 0.5,
    "retrieval.cache_entries": 1000,
    "actor.ask.max_uses": 2,
    "run.seed": 42,
}


# Where they differ: the text's value, the released configuration's (docs/paper.md).
DIFFERENT = {
    "single actor.gate.enabled": (False, True),
    "single retrieval.batch_queries": (16, 32),
    "single retrieval.batch_wait_ms": (1.0, 5.0),
    "single learn.actor.advantage": ("mean_std", "mean"),
    "single extractor.distil.source": ("all", "guided"),
    "single rounds.count": (128, 512),
    "3task rollout.groups": (48, 16),
    "3task tasks.mix.alfworld.max_steps": (40, 30),
    "6task tasks.mix.keyroom.level": ("MiniHack-KeyRoom-Dark-S5-v0", "MiniHack-KeyRoom-S5-v0"),
    "swe models.actor.source": ("Qwen/Qwen3-4B-Instruct-2507", "Qwen/Qwen2.5-7B-Instruct"),
}


@pytest.mark.parametrize("profile", ["paper_single", "released_single"])
def test_profiles_of_the_paper_hold_what_its_text_and_its_code_agree_on(profile: str) -> None:
    held = compose(profile, folder=CONF)
    assert {field: _at(held, field) for field in AGREED} == AGREED


@pytest.mark.parametrize(("where", "values"), DIFFERENT.items())
def test_where_they_differ_the_text_is_paper_and_the_code_is_released(where: str, values: tuple) -> None:
    run, field = where.split()
    held = tuple(_at(compose(f"{source}_{run}", folder=CONF), field) for source in ("paper", "released"))
    assert held == values


def test_the_texts_own_runs_of_single_tasks() -> None:
    webshop, alfworld = (compose(f"paper_{task}", folder=CONF) for task in ("webshop", "alfworld"))
    assert webshop["rollout"]["groups"] * webshop["rollout"]["group_size"] == 64
    assert (webshop["rounds"]["count"], webshop["rounds"]["bank_warmup"]) == (256, 10)
    assert alfworld["tasks"]["mix"]["alfworld"]["max_steps"] == 40
    assert alfworld["rollout"]["sampling"]["max_new_tokens"] == 2048
    assert alfworld["models"]["actor"]["context_tokens"] == 16384


def _at(node: dict, field: str) -> object:
    for part in field.split("."):
        node = node[part]
    return node


@pytest.mark.parametrize(
    ("override", "field", "remedy"),
    [
        ("rollout.group_size=1", "rollout.group_size = 1", "at least 2"),
        ("rollout.free_per_group=9", "rollout.free_per_group = 9", "half of the group"),
        ("learn.actor.advantage=median", "learn.actor.advantage = 'median'", "use one of mean, mean_std, rloo"),
        ("learn.actor.objective=gpro", "learn.actor.objective = 'gpro'", "did you mean grpo?"),
        ("learn.extractor.objective=sft", "learn.extractor.objective = 'sft'", "use one of cispo, grpo"),
        ("extractor.reward=outcomes", "extractor.reward = 'outcomes'", "did you mean outcome?"),
        ("learn.actor.advantage=crl.nowhere:f", "learn.actor.advantage = 'crl.nowhere:f'", "does not load"),
        ("learn.actor.objective=crl.nowhere:Loss", "learn.actor.objective = 'crl.nowhere:Loss'", "does not load"),
        ("extractor.reward=crl.learn.rewards:best", "extractor.reward = 'crl.learn.rewards:best'", "does not load"),
        ("actor.prompts=crl.nowhere:Prompts", "actor.prompts = 'crl.nowhere:Prompts'", "does not load"),
        ("envs.observation=crl.nowhere:style", "envs.observation = 'crl.nowhere:style'", "does not load"),
        ("learn.actor.advantage=rloo rollout.free_per_group=7", "'rloo' needs subgroups", "rollout.free_per_group"),
        ("learn.extractor.buffer=32", "learn.extractor.buffer = 32", "twice the batch"),
        ("tasks.follow_signal=1", "tasks.follow_signal = 1", "less than 1"),
        ("rollout.guided_share=utility rollout.free_per_group=1", "1 free and 7 guided", "or 'fixed'"),
        (
            "rollout.refill.extra_groups=2 rollout.group_size=2 rollout.free_per_group=1",
            "rollout.refill.extra_groups = 2: subgroups of one",
            "raise rollout.group_size",
        ),
        (
            "rollout.refill.extra_groups=2 learn.actor.freeze=true",
            "rollout.refill.extra_groups = 2",
            "Remedy: extra_groups: 0",
        ),
        (
            "learn.actor.internalise=1 learn.actor.freeze=true",
            "learn.actor.internalise = 1",
            "learn.actor.internalise: 0",
        ),
        ("learn.actor.internalise=1 actor.inject=none", "learn.actor.internalise = 1", "an experience in the prompt"),
        (
            "learn.actor.internalise=1 rollout.free_per_group=0 retrieval.rule=newest bank.retire.certainty=null bank.evict=fifo",
            "learn.actor.internalise = 1",
            "both halves",
        ),
        ("learn.actor.internalise=1 rollout.free_per_group=8", "learn.actor.internalise = 1", "both halves"),
        (
            "rounds.extractor_head_start=2 learn.extractor.freeze=true",
            "rounds.extractor_head_start = 2",
            "learn.extractor.freeze: false",
        ),
        ("rounds.extractor_head_start=39", "rounds.extractor_head_start = 39", "learn.actor.freeze: true"),
        ("tasks.train_levels=6000000", "tasks.train_levels = 6000000", "lower the first"),
        ("models.actor.hidden_size=66", "hidden_size = 66", "multiple of 8"),
        ("+models.actor.template_arguments.a=1", "models.actor.template_arguments = {'a': 1}", "or name a model"),
        ("models.actor.context_tokens=32", "context_tokens", "Remedy"),
        ("rollout.free_per_group=0", "retrieval.rule = 'thompson'", "rollout.free_per_group of 1 or more"),
        ("rollout.free_per_group=0 retrieval.rule=newest", "bank.retire.certainty = 0.975", "certainty: null"),
        ("run.seed=minus", "run.seed = 'minus'", "Remedy"),
    ],
)
def test_bad_values_are_refused_with_field_value_and_remedy(override: str, field: str, remedy: str) -> None:
    overrides = override.split()
    if "context" in override:
        overrides.append("rollout.sampling.max_new_tokens=32")
    with pytest.raises(ConfigError) as error:
        composed("quick", overrides, CONF)
    assert field in str(error.value)
    assert remedy in str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "Room",
        "room.v2",
        "room v2",
        "room+",
        "all",
        "..",
        "",
        "-room",
        "2nd",
        "r" * 61,
        "räum",
        "a/b",
        "room\n",
        7,
        True,
    ],
)
def test_a_name_of_an_entry_that_breaks_something_later_is_refused_at_once(name: object) -> None:
    values = compose_once()
    values["tasks"]["mix"] = {name: values["tasks"]["mix"]["room"]}
    with pytest.raises(ConfigError, match=rf"tasks\.mix = {re.escape(repr(name))}.*Remedy: a lower-case letter"):
        from_mapping(values)


def test_names_of_entries_that_pages_do_not_tell_apart_are_refused() -> None:
    values = compose_once()
    values["tasks"]["mix"] = {name: values["tasks"]["mix"]["room"] for name in ("room_v2", "room-v2")}
    with pytest.raises(ConfigError, match=r"room_v2.*room-v2.*rename one"):
        from_mapping(values)


def test_every_number_is_a_finite_one() -> None:
    numbers = [(name, value) for name, value in flatten(compose_once()) if type(value) in (int, float)]
    assert len(numbers) > 100
    for name, _ in numbers:
        for text in (".nan", ".inf", "-.inf", "yes"):
            values = compose_once()
            *path, last = name.split(".")
            section = values
            for part in path:
                section = section[part]
            section[last] = yaml.safe_load(text)
            with pytest.raises(ConfigError, match=rf"{name} = (-?(nan|inf)|True): .*Remedy"):
                from_mapping(values)


@pytest.mark.parametrize(
    "words",
    [
        ["doctor", "--deadline", "nan"], ["doctor", "--deadline", "inf"], ["plan", "--turns", "-3"], ["plan", "--turns", "nan"],
        ["plan", "--turn-tokens", "0"], ["plan", "--decode-share", "0"], ["plan", "--training-share", "1.5"],
        ["plan", "--prefill-share", "nan"], ["plan", "--price", "-1"], ["plan", "--price", "inf"],
        ["play", "--temperature", "nan"], ["play", "--delay-s", "inf"], ["play", "--skill", "wander"],
        ["play", "--player", "random", "--model", "models/actor"], ["bank", "log", "--round", "-1"],
        ["bank", "diff", "--", "-2", "0"], ["bank", "rollback", "--round", "-2"], ["bank", "export", "nowhere/entries.jsonl"],
    ],
)  # fmt: skip
def test_every_command_refuses_a_value_that_cannot_be_meant(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2, done.output
    assert not done.exception or isinstance(done.exception, SystemExit)


def test_a_misspelt_field_is_refused_with_the_right_one() -> None:
    values = compose("quick", folder=CONF)
    values["rollout"]["group_sise"] = 8
    with pytest.raises(ConfigError, match=r"did you mean rollout.group_size\?"):
        from_mapping(values)


def test_all_faults_are_told_at_once() -> None:
    values = compose("quick", folder=CONF)
    values["rollout"]["groups"], values["rounds"]["count"] = 0, 0
    with pytest.raises(ConfigError) as error:
        from_mapping(values)
    assert len(str(error.value).splitlines()) == 2


@given(st.text(min_size=1, max_size=20), st.one_of(st.none(), st.integers(), st.text(), st.lists(st.integers())))
def test_an_unknown_section_is_never_accepted_nor_a_crash(name: str, value: object) -> None:
    values = compose_once()
    if name in values:
        return
    with pytest.raises(ConfigError):
        from_mapping({**values, name: value})


def compose_once() -> dict:
    return yaml.safe_load((ROOT / "params.yaml").read_text())


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Remedy"):
        load(tmp_path / "params.yaml")


def test_crl_check_refuses_on_the_command_line_without_loading_torch() -> None:
    script = "import sys; from crl.cli.main import app; app(['check', '--profile', 'quick', 'rollout.group_size=1'])"
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "use a value of at least 2" in done.stderr
    assert not re.search(r"\|\s+torch$", done.stderr, re.MULTILINE)
