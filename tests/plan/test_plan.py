"""`crl plan`: hand-computed figures, what is warned of, and the command."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crl.cli.main import app
from crl.config import Config
from crl.config.compose import composed, profiles
from crl.errors import ConfigError
from crl.plan import speed
from crl.plan.hardware import GPUS, Utilisation
from crl.plan.layout import Cluster
from crl.plan.plan import make_plan
from crl.plan.shapes import KNOWN, Shape
from crl.plan.work import Habits, work_of

CONF = Path(__file__).parents[2] / "conf"
FULL = Utilisation(training=1.0, prefill=1.0, decode=1.0, sync_bytes_per_s=1e9)
# 2 layers of 2 h (n_q + n_kv) d + 3 h f = 2*8*6*2 + 3*8*16 = 576, and a table of 80: 1232 matrix weights.
TINY = Shape("tiny", 8, 2, 4, 2, 2, 16, 10, tied=True)


def released(*changes: str) -> Config:
    return composed("released_3task", list(changes), CONF)


def test_training_takes_six_flops_per_weight_and_token_and_the_attention() -> None:
    assert TINY.matrices == 1232
    assert speed.training_flops(TINY, 100, 50) == 100 * (6 * 1232 + 6 * 2 * 4 * 2 * 50)


def test_generation_reads_weights_and_caches_once_a_step() -> None:
    gpu = GPUS["h100"]
    # bfloat16: 2464 bytes of weights, and 10 sessions of 50 tokens at 2*2*2*2*2 = 32 bytes; 20 steps for 200 tokens.
    seconds = speed.decode_s(
        TINY, 200, 50, live=10, gpu=gpu, gpus=1, tensor_parallel=1, dtype="bfloat16", use=FULL
    )  # fmt: skip
    assert seconds == pytest.approx(20 * (2464 + 10 * 50 * 32) / 3.35e12)
    # Two engines share the sessions, so each reads half of the caches and all of its weights.
    halves = speed.decode_s(TINY, 200, 50, live=10, gpu=gpu, gpus=2, tensor_parallel=1, dtype="bfloat16", use=FULL)
    assert halves == pytest.approx(20 * (2464 + 5 * 50 * 32) / 3.35e12)


def test_the_released_round_by_hand() -> None:
    work = work_of(released("extractor.merge.every_rounds=0"), Habits(turns=10))
    # 16 x 8 episodes, half of them guided: 10 turns of 200 said + 250 observed after 800, and a gate's reply of 200.
    assert (work.episodes, work.context) == (128, 5300)
    assert work.actor.generated == 128 * 10 * 200 + 64 * 200
    assert work.actor.prefilled == 128 * (5300 - 2000) + 64 * 800
    assert work.extractor.generated == 64 * 1500
    assert work.distilled == 6800
    assert (work.actor.trained, work.extractor.trained, work.extractor_updates) == (128 * 5300, 64 * 6800, 1.0)


def test_a_context_window_and_a_frozen_model_bound_the_work() -> None:
    work = work_of(released("learn.extractor.freeze=true", "models.actor.context_tokens=5000"), Habits(turns=100))
    assert work.context == 5000
    assert work.extractor.trained == work.extractor_updates == 0


SERVED = "engine.kind=server"
KEEPING = [f"learn.{role}.optimizer.checkpointing=false" for role in ("actor", "extractor")]
SIXTEEN = Cluster(GPUS["h100"], gpus=8, nodes=2, trainers=8)


def test_full_contexts_fit_where_activations_are_checkpointed_and_else_the_plan_says_so() -> None:
    assert not [line for line in make_plan(released(SERVED), SIXTEEN).warnings if "per GPU" in line]
    lines = make_plan(released(SERVED, *KEEPING), SIXTEEN).warnings
    assert any("Remedy: learn.*.optimizer.checkpointing: true" in line for line in lines)


@pytest.mark.parametrize("profile", [name for name in profiles(CONF) if name.startswith(("paper_", "released_"))])
def test_every_run_of_the_paper_can_be_planned(profile: str) -> None:
    made = make_plan(composed(profile, [SERVED], CONF), SIXTEEN)
    assert made.round_s > 0
    assert not [line for line in made.warnings if "per GPU" in line]


def test_what_does_not_fit_is_said_with_a_remedy_that_fits() -> None:
    habits = Habits(turns=10)
    made = make_plan(released(SERVED, *KEEPING), SIXTEEN, habits=habits)
    said = next(line for line in made.warnings if "Remedy, at most: " in line)
    limits = said.partition("Remedy, at most: ")[2].replace(": ", "=").split(", ")
    again = make_plan(released(SERVED, *KEEPING, *limits), SIXTEEN, habits=habits)
    assert again.places[0].bytes_per_gpu < made.places[0].bytes_per_gpu
    assert not [line for line in again.warnings if "per GPU" in line]


def test_no_micro_batch_is_proposed_that_is_shorter_than_an_episode() -> None:
    made = make_plan(released(SERVED, *KEEPING), SIXTEEN, habits=Habits(turns=25))
    said = next(line for line in made.warnings if "per GPU" in line)
    assert "at most" not in said
    assert "its mean sequence has 12050" in said


def test_paper_models_do_not_fit_on_one_gpu_and_a_small_pair_does() -> None:
    one = Cluster(GPUS["h200"], gpus=1)
    assert any("per GPU" in line for line in make_plan(released(), one).warnings)
    small = [
        "models.actor.source=Qwen/Qwen3-0.6B", "models.extractor.source=Qwen/Qwen3-0.6B", "models.actor.context_tokens=4096",
        "models.extractor.context_tokens=4096", "learn.actor.optimizer.micro_batch_tokens=4096",
        "learn.extractor.optimizer.micro_batch_tokens=4096", "rollout.live_episodes=32", "rollout.sampling.max_new_tokens=512",
        "extractor.distil.sampling.max_new_tokens=1024",
    ]  # fmt: skip
    assert make_plan(released(*small), one).warnings == ()


def test_servers_share_the_gpus_that_learners_leave() -> None:
    made = make_plan(
        released("engine.kind=server", "engine.tensor_parallel=2"), Cluster(GPUS["h100"], 8, 2, trainers=2)
    )
    learners, *servers = (place.gpus for place in made.places)
    assert learners == 2
    assert sum(servers) == 14
    assert all(gpus % 2 == 0 for gpus in servers)
    with pytest.raises(ConfigError, match=r"--gpus 5 at least"):
        make_plan(released("engine.kind=server", "engine.tensor_parallel=2"), Cluster(GPUS["h100"], 4))


def test_learners_that_would_not_take_the_gpus_planned_for_them_are_named() -> None:
    workers = [f"learn.{role}.workers=8" for role in ("actor", "extractor")]
    told, met = (
        [line for line in make_plan(released("engine.kind=server", *given), SIXTEEN).warnings if "workers" in line]
        for given in (workers[:1], workers)
    )
    assert len(told) == 1
    assert "learn.extractor.workers=8" in told[0]
    assert met == []


def test_passes_that_learn_nothing_take_a_third_of_an_update_each() -> None:
    checkpointed = make_plan(released(SERVED), SIXTEEN).seconds["actor_update"]
    assert make_plan(released(SERVED, *KEEPING), SIXTEEN).seconds["actor_update"] == pytest.approx(checkpointed * 3 / 4)
    asked = {
        "learn.actor.kl_coef=0.1": 5 / 4,
        "learn.actor.correction.level=token learn.actor.steps_per_round=4": 4.75 / 4,
    }
    for changes, times in asked.items():
        made = make_plan(released(SERVED, *changes.split()), SIXTEEN)
        assert made.seconds["actor_update"] == pytest.approx(checkpointed * times)
    one_step = make_plan(released(SERVED, "learn.actor.correction.level=token"), SIXTEEN)
    assert one_step.seconds["actor_update"] == pytest.approx(checkpointed)


def test_async_rounds_last_as_long_as_their_longest_part_and_money_follows_gpu_hours() -> None:
    made = make_plan(released("engine.kind=server"), Cluster(GPUS["h100"], 8, 2), price_per_gpu_hour=2.0)
    learning = made.seconds["actor_update"] + made.seconds["extractor_update"]
    longest = max(made.seconds["generate"], made.seconds["distil"], learning)
    assert made.round_s == longest + made.seconds["weight_sync"]
    assert made.gpu_hours == pytest.approx(made.round_s * 512 / 3600 * 16)
    assert made.price == pytest.approx(2 * made.gpu_hours)


def test_the_command_prints_a_table_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CONF.parent)
    arguments = ["plan", "--profile", "released_3task", "engine.kind=server", "--gpus", "8", "--nodes", "2"]
    table = CliRunner().invoke(app, arguments, env={"COLUMNS": "160"})
    assert table.exit_code == 0
    assert "Qwen2.5-7B, 7.62 B" in table.output
    assert "warning" in table.output
    values = json.loads(CliRunner().invoke(app, [*arguments, "--json", "--price", "3"]).output)
    assert values["shapes"]["actor"]["layers"] == KNOWN["qwen2.5-7b"].layers
    assert values["price"] > 0
    assert CliRunner().invoke(app, ["plan", "--gpu", "abacus"]).exit_code != 0
