"""Where the stages read and write, as `dvc.yaml` declares it."""

from pathlib import Path

TASKS = Path("data/tasks")  # a folder per entry of the mix
ENTRIES = Path("data/entries.json")  # their names
ATTEMPTS = Path("runs/pass_rate")  # the resumable attempts; no out of DVC
ATTEMPT_TIMINGS = ATTEMPTS / "timings.csv"  # likewise
PASS_RATE = Path("data/pass_rate.parquet")
MIX = Path("data/mix")  # the task sets that are trained on and evaluated: filtered and gated
DATA_DOCS = Path("data/docs")  # what the gates found, as pages
BASE = Path("runs/warm_start")  # actor/ and extractor/
STATE = Path("runs/co_evolve")  # the resumable state; no out of DVC, see dvc.yaml
TIMINGS = STATE / "timings.csv"
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


def metrics_of(stage: str) -> Path:
    return METRICS / f"{stage}.json"
