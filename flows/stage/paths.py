"""Where the stages read and write, as `dvc.yaml` declares it.

What outlives a run, and is no out of DVC, lies under HOME: DVC runs the stages of `dvc exp run --temp` and `--queue` in a workspace
that it removes when they end, whether they ended well or not.
"""

from pathlib import Path

_WORKSPACES = (".dvc", "tmp", "exps")  # dvc.repo.experiments.executor.local: TempDirExecutor


def home(folder: Path) -> Path:
    """The folder that outlives a run in `folder`: the checkout above DVC's temporary workspaces, else the folder itself, as `.`."""
    parts = folder.parts
    starts = (place for place in range(len(parts)) if parts[place : place + len(_WORKSPACES)] == _WORKSPACES)
    place = next(starts, None)
    return Path() if place is None else Path(*parts[:place])


HOME = home(Path.cwd())  # asked once: a stage stays where it was started
TASKS = Path("data/tasks")  # a folder per entry of the mix
ENTRIES = Path("data/entries.json")  # their names
ATTEMPTS = HOME / "runs/pass_rate"  # the resumable attempts; no out of DVC
ATTEMPT_TIMINGS = ATTEMPTS / "timings.csv"  # likewise
PASS_RATE = Path("data/pass_rate.parquet")
MIX = Path("data/mix")  # the task sets that are trained on and evaluated: filtered and gated
DATA_DOCS = HOME / "data/docs"  # what the gates found, as pages
BASE = Path("runs/warm_start")  # actor/ and extractor/
STATE = HOME / "runs/co_evolve"  # the resumable state; no out of DVC, see dvc.yaml
SPOOL = HOME / "runs/spool"  # records that wait for MLflow
MODELS = Path("models")  # actor/ and extractor/
BANK = Path("bank")  # a snapshot per round
RECORDS = Path("records")
TRANSCRIPTS = RECORDS / "transcripts.jsonl"
EFFECTS = RECORDS / "effects.json"
EVALUATION_TRANSCRIPTS = RECORDS / "evaluation_transcripts.jsonl"
EVALUATION_EPISODES = RECORDS / "evaluation_episodes.json"  # what the champion is decided by
METRICS = Path("metrics")  # <stage>.json
HEADLINE = METRICS / "held_out.json"  # the evaluation's few figures for `dvc exp show`
ROUNDS = Path("plots/rounds.csv")
CELLS = Path("plots/evaluate.csv")
REPORTS = Path("reports")


def timings_of(lineage: str) -> Path:
    """A complete run's seconds by round; no out of DVC."""
    return STATE / lineage / "timings.csv"


def times_page_of(lineage: str) -> Path:
    """The page made of them; likewise."""
    return STATE / lineage / "times.html"


def metrics_of(stage: str) -> Path:
    return METRICS / f"{stage}.json"
