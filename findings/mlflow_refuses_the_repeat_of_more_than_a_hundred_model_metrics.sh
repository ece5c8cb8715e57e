#!/usr/bin/env bash
# MLflow: a batch of metrics that belong to a logged model may be sent again if it has at most a hundred; the repeat of a larger
#      one is refused, and with it whatever else was in the batch.
#
# Version:   mlflow 3.17.2 (PyPI), SQLite, Python 3.11; mlflow/store/tracking/sqlalchemy_store.py, _log_model_metrics
# Guess:     a metric with the same name, step, time and value is one row, however often it is sent: so MLflow says of its SQL
#            stores, and so it is for a run's metrics. A client that lost the answer sends the batch again.
# Behaviour: of metrics with a model_id the repeat of 100 passes, that of 101 raises BAD_REQUEST (UNIQUE constraint failed). The store
#            looks for the points that it has by a hundred names at a time, and with each hundred adds all that are not among those.
#            Without a model_id a thousand pass, which is all that one batch may hold.
# Matters:   At-least-once delivery, the usual way beside training, never gets its record through: whoever retries on errors retries
#            for ever, and whoever gives up reports a loss although all is there. Remedy: a hundred metrics a call.
# Output seen:
#   of a run: 1000 sent again, 1000 there
#   of a model: 100 sent again, 100 there
#   of a model: 101 refused (BAD_REQUEST), 101 there
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3.11 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check uv
"$work/env/bin/uv" pip install --quiet --python "$work/env/bin/python" mlflow==3.17.2
cat >"$work/repeat.py" <<'PYTHON'
import logging
import sys

import mlflow
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException

logging.disable(logging.WARNING)
client = mlflow.MlflowClient(f"sqlite:///{sys.argv[1]}/mlflow.db")


def twice(count: int, of_model: bool) -> str:
    run = client.create_run("0").info.run_id
    model = client.create_logged_model("0", source_run_id=run).model_id if of_model else None
    batch = [Metric(f"m{number}", 1.0, 1_700_000_000_000, 0, model) for number in range(count)]
    client.log_batch(run, batch)
    try:
        client.log_batch(run, batch)
        told = "sent again"
    except MlflowException as error:
        told = f"refused ({error.error_code})"
    there = client.get_logged_model(model).metrics if model else client.get_run(run).data.metrics
    return f"of a {'model' if model else 'run'}: {count} {told}, {len(there)} there"


print(twice(1000, False), twice(100, True), twice(101, True), sep="\n")
PYTHON
seen=$(cd "$work" && MLFLOW_TRACKING_URI="sqlite:///$work/mlflow.db" "$work/env/bin/python" repeat.py "$work" 2>/dev/null)
expected='of a run: 1000 sent again, 1000 there
of a model: 100 sent again, 100 there
of a model: 101 refused (BAD_REQUEST), 101 there'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "CHANGED: expected"; echo "$expected"; exit 1; }
