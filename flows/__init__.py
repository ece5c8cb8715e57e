"""One Prefect flow per stage, and what records them. Only this package imports prefect or mlflow.

Importing it sets quiet defaults for those tools, which read them when they are imported; whatever the
environment already says wins.
"""

import os
import warnings

_DEFAULTS = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # a bar per loaded model would tear the stage's own
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # it prints the address with the credentials in it
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds; the spool retries, so a dead tracker is given up quickly
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # seconds, the shortest; flows/prefect/automations.py waits for four of them
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 17 s on a quiet machine; the default is 20
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",  # the terminal shows our own lines; the server keeps all
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
for _name, _value in _DEFAULTS.items():
    os.environ.setdefault(_name, _value)

# Great Expectations imports Google's clients wherever they are installed, and those warn of their gRPC at every stage.
warnings.filterwarnings("ignore", "Package google.api_core depends on grpcio", FutureWarning)
