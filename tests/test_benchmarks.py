"""Benchmarks on settings so small that their figures mean nothing: what is promised here is their shape."""

import ast
import importlib
import inspect
import json
import runpy
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks import (
    bank,
    checkpoint,
    common,
    engine,
    envs,
    grpo_step,
    models,
    models_vllm,
    overlap,
    pretrained,
    replies,
    retrieval,
    rules,
    search,
    servers,
)
from benchmarks.common import Row
from benchmarks.quick import quick_config
from crl.config.play import ModelConfig
from crl.engine.transformers import TransformersEngine
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer

FOLDER = Path(common.__file__).parent
PROGRAMS = sorted(file.stem for file in FOLDER.glob("*.py") if "__main__" in file.read_text())
# Of those that compare nothing in turns.
OTHER_OPTIONS = {
    "advice": {"run"}, "bank_worth": {"run"}, "envs": {"--json", "--tasks"}, "models": {"--json", "--only", "--markdown", "--vllm"},
    "mismatch": {"--episodes"}, "models_vllm": {"--rows", "--only"}, "replies": {"--markdown", "--refused", "--engine"},
    "rules": {"--rounds", "--folder"}, "templates": {"--json", "--only", "--markdown", "--sdist"},
}  # fmt: skip
TINY = (
    "warm_start.episodes_per_task=2", "warm_start.actor_steps=2", "warm_start.extractor_steps=2", "rollout.groups=3",
    "rollout.group_size=8", "rollout.live_episodes=24", "learn.extractor.batch=2", "models.actor.layers=1",
)  # fmt: skip


def bank_rows(folder: Path) -> list[Row]:
    vectors = bank.Vectors(64)
    filled = bank.filled_bank(folder, vectors)
    try:
        return bank.measured(filled, vectors, "1k", 1, repeats=1)
    finally:
        filled.close()


def test_every_benchmark_of_the_issue_is_a_program() -> None:
    assert {"bank", "engine", "envs", "grpo_step", "orchestration", "overlap", "servers"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_names_the_options(
    program: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(FOLDER / f"{program}.py"), run_name="__main__")
    assert ended.value.code == 0
    options = OTHER_OPTIONS.get(program, {"--json", "--repeats"})
    assert options <= set(capsys.readouterr().out.replace("]", " ").replace("[", " ").split())


@pytest.mark.parametrize("program", PROGRAMS)
def test_calls_fit_the_functions_they_name(program: str) -> None:
    """What a benchmark does in minutes or hours runs in no test, so the signatures of what it imports may change unseen."""
    module = importlib.import_module(f"benchmarks.{program}")
    for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
        called = (
            getattr(module, node.func.id, None)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            else None
        )
        if not inspect.isfunction(called):
            continue
        unpacked = any(isinstance(each, ast.Starred) for each in node.args) or any(
            not each.arg for each in node.keywords
        )
        bind = inspect.signature(called).bind_partial if unpacked else inspect.signature(called).bind
        positional = [each for each in node.args if not isinstance(each, ast.Starred)]
        try:
            bind(*positional, **{each.arg: each for each in node.keywords if each.arg})
        except TypeError as error:
            pytest.fail(f"{program}, line {node.lineno}: {called.__name__}: {error}")


@pytest.mark.parametrize(
    ("measure", "names"),
    [
        (lambda folder: engine.measure(quick_config(*TINY), 1), ["vs_generate", "vs_bare_decode"]),
        (
            lambda folder: overlap.measure(overlap.configs(*TINY), repeats=1, rounds=1),
            ["async_vs_free", "lockstep_vs_free"],
        ),
        (lambda folder: grpo_step.measure(1, grpo_step.batch(16)), ["vs_trl", "vs_trl_half_flat"]),
        (
            lambda folder: checkpoint.measure(1, {"hidden_size": 32, "layers": 1, "heads": 2}),
            ["waited", "rollouts_of_writing"],
        ),
        (bank_rows, ["p50_1k_1_caller", "p99_1k_1_caller"]),
        (
            lambda folder: search.measured(bank.Vectors(256), 1),
            [*search.WAYS, *(f"{way}_recall" for way in search.WAYS)],
        ),
    ],
    ids=["engine", "overlap", "grpo_step", "checkpoint", "bank", "search"],
)
def test_rows_have_the_documented_names_and_a_ratio_of_their_figures(
    measure: Callable[[Path], Sequence[Row]], names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bank.QUERIES, "1k", 64)
    rows = measure(tmp_path)
    assert [row.name for row in rows] == names
    for row in rows:
        assert row.figure > 0
        assert row.baseline > 0
        assert row.ratio == pytest.approx(row.figure / row.baseline)
        assert row.repeats == 1
        assert row.unit
        assert row.machine


def test_retrieval_is_measured_in_the_run_and_as_nodes_do_it_from_a_weaviate_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieval, "QUERIES", 32)
    monkeypatch.setattr(retrieval, "CALLERS", (2,))
    file = tmp_path / "rows.json"
    command = ["servers", "--only", "retrieval", "--entries", "200", "--repeats", "1", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", command)
    servers.main()
    rows = {row["name"]: row for row in json.loads(file.read_text())}
    latencies = [f"{side}_{name}_200_2_callers" for name in ("p50", "p99") for side in ("embedded", "weaviate")]
    assert list(rows) == [*latencies, "embedded_recall_200", "weaviate_recall_200", "weaviate_crowd_recall_200"]
    assert all(rows[name]["figure"] > 0 and rows[name]["unit"] == "ms" for name in latencies)
    assert rows["weaviate_p99_200_2_callers"]["baseline"] == rows["embedded_p99_200_2_callers"]["figure"]
    assert {row["figure"] for name, row in rows.items() if "recall" in name} == {1.0}  # a flat search


def test_the_json_file_holds_the_rows_that_the_table_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [common.row("a", [1.0, 3.0, 2.0], [4.0, 4.0, 4.0], unit="s")]
    monkeypatch.setattr(sys, "argv", ["a", "--repeats", "3", "--json", str(tmp_path / "rows.json")])
    common.main("a", lambda repeats: rows if repeats == 3 else [])
    (written,) = json.loads((tmp_path / "rows.json").read_text())
    names = ["name", "figure", "baseline", "ratio", "ratio_low", "ratio_high", "unit", "repeats", "machine"]
    assert list(written) == names
    assert written == asdict(rows[0])
    assert (written["figure"], written["ratio"]) == (2.0, 0.5)  # medians, and their ratio
    assert (written["ratio_low"], written["ratio_high"]) == (0.25, 0.75)


def test_sides_take_turns_in_alternating_order() -> None:
    order: list[str] = []

    def side(name: str) -> Callable[[], float]:
        return lambda: order.append(name) or float(len(order))

    figures = common.measure_interleaved({"a": side("a"), "b": side("b")}, repeats=2, warmups=1)
    assert order == ["b", "a", "a", "b", "b", "a"]
    assert figures == {"a": [3.0, 6.0], "b": [4.0, 5.0]}


def test_the_world_of_rules_is_measured_before_and_after_its_rounds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("tasks.eval_levels=3", "tasks.train_levels=40", "tasks.mix.rules_new.eval_levels=3")
    rules.measure(tmp_path, 2, [*TINY, *few])
    told = capsys.readouterr().out
    for heading in ("before training", "training rounds", "what was written", "after training"):
        assert heading in told


def test_the_environments_table_has_its_row_per_split() -> None:
    row = envs.measure(envs.Setting("sokoban", "6x6-2", 6, 4), "eval", 3)
    assert (row.env, row.split, row.tasks, row.sample, row.oracle) == ("sokoban 6x6-2", "eval", 4, 3, 1.0)
    assert 0 <= row.random <= 1
    assert min(row.reset_ms, row.step_ms, row.steps_per_s_1_worker, row.steps_per_s_2_workers) > 0
    names = "env split tasks reset_ms step_ms steps_per_s_1_worker steps_per_s_2_workers oracle random sample"
    assert list(asdict(row)) == names.split()


def test_models_are_checked_or_refused_by_name() -> None:
    fits, refused = models.run(["llama", "bloom"])
    assert fits.result == "ok"
    assert fits.engine_nats < models.TOLERANCE
    assert "BloomForCausalLM cannot be fed in pieces" in refused.result
    assert refused.engine_nats is None
    for row in (fits, refused):
        assert row.ratio_off < models.TOLERANCE
        assert (row.updated, row.stored, row.fault) == (True, True, "")
    assert [models.cells(row, {"llama": "5e-07"})[-2] for row in (fits, refused)] == ["5e-07", "-"]
    assert len(models.cells(fits, {})) == len(models.HEADINGS)


def test_what_vllm_sampled_is_compared_with_whole_forwards() -> None:
    """0.2 nats off on one token is a difference; a refusal is told as it is."""
    sampled = [asdict(each) for each in models.imagined(models.build("llama"))]
    row = models_vllm.compared(json.dumps({"name": "llama", "sequences": sampled}))
    assert float(row.result) < models_vllm.TOLERANCE
    sampled[1]["old_logprobs"] = [*sampled[1]["old_logprobs"][:-1], sampled[1]["old_logprobs"][-1] + 0.2]
    assert models_vllm.compared(json.dumps({"name": "llama", "sequences": sampled})).result == "differs: 0.2"
    assert models_vllm.compared('{"name": "bert", "refusal": "ValueError: no"}').result == "ValueError: no"


def test_every_stored_reply_has_a_reading_and_those_judged_were_refused() -> None:
    stored = [(file.stem, reply) for file in replies.FOLDER.glob("*.jsonl") for reply in replies.stored(file.stem)]
    assert {model for model, _ in stored} == {"smollm2-135m-instruct", "qwen2.5-coder-0.5b-instruct"}
    refused = {f"{model}/{reply.key}" for model, reply in stored if replies.refused_for(reply)}
    assert set(json.loads(replies.KEPT.read_text())) <= refused
    assert sum(int(line[replies.HEADINGS.index("replies")]) for line in replies.table()) == len(stored)


def test_rollouts_and_what_they_are_compared_with_compute_the_same_lengths() -> None:
    shape = pretrained.Shape(episodes=3, turns=2, manual=70, shown=5, new=4)
    text = "\n".join(page.read_text() for page in pretrained.PAGES.glob("*.md"))[:20_000]
    tokenizer = train_tokenizer(text.splitlines(), 400)
    model = build_model(ModelConfig(hidden_size=16, layers=1, heads=2, context_tokens=shape.context), tokenizer, 0)
    engine = TransformersEngine(
        model, tokenizer, end_ids=(), max_sessions=3, context_tokens=shape.context, turnstile=None
    )
    plays = pretrained.Rollouts(shape, tokenizer)
    try:
        assert plays.play(engine) > 0
    finally:
        engine.close()
    assert engine.reused >= 2 * shape.manual
    lengths = [[len(pretrained.before(said, turn)) for turn in range(2)] for said in plays.completions]
    assert lengths == [[75, 84]] * 3
    assert plays.generate(model) > 0
