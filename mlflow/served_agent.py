"""The served model, as code: what `mlflow models serve` loads for a version of the registered agent.

A row is a turn: the task's name, its goal, the observation, the admissible actions, and the turns before it. The answer is
an action, the model's own words, the experience that guided it, and what to append to the turns. The environment needs the
package `crl`.
"""

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE


class ServedAgent(mlflow.pyfunc.PythonModel):
    def load_context(self, context) -> None:
        from pathlib import Path

        from crl.serve.agent import Agent

        parts = {name: Path(path) for name, path in context.artifacts.items()}
        parts.setdefault("evaluation", None)
        self.agent = Agent.load(**parts)

    def predict(self, context, model_input: pd.DataFrame, params=None) -> pd.DataFrame:
        from crl.errors import DataError

        options = params or {}
        temperature, seed = options.get("temperature", -1.0), options.get("seed", -1)
        try:
            answers = self.agent.answer(
                [_request(row) for row in model_input.to_dict("records")],
                temperature=None if temperature < 0 else temperature,
                seed=None if seed < 0 else seed,
            )
        except DataError as error:  # the sender's fault: 400, not 500
            raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None
        return pd.DataFrame(
            [
                {
                    "action": answer.action,
                    "reply": answer.reply,
                    "gate": str(answer.gate),
                    "experience": answer.experience,
                    "experience_ids": list(answer.experience_ids),
                    "turns": [_plain(turn) for turn in answer.turns],
                }
                for answer in answers
            ],
            dtype=object,  # null stays null, whatever else is in the batch
        )


def _request(row: dict):
    from crl.serve.agent import Request

    manual = row.get("manual")
    return Request(
        row["task"], row["goal"], row["observation"], _several(row, "actions"), _several(row, "forms"),
        manual if isinstance(manual, str) else "", tuple(map(_exchange, _several(row, "history"))),
    )  # fmt: skip


def _exchange(turn: dict):
    from crl.errors import DataError
    from crl.serve.agent import Exchange

    ids = _several(turn or {}, "reply_ids")
    if turn is None or None in ids:
        raise DataError("history holds a null. Remedy: append the column `turns` of each answer as it is")
    valid, answer = turn.get("valid"), turn.get("answer")
    return Exchange(
        turn["observation"], turn["reply"], _several(turn, "actions"), _several(turn, "forms"),
        tuple(map(int, ids)), None if valid is None else bool(valid),
        answer if isinstance(answer, str) else None,
    )  # fmt: skip


def _plain(turn) -> dict:
    """A turn as it is sent back: without what it has not."""
    fields = ("observation", "reply", "actions", "forms", "reply_ids", "answer")
    told = {name: getattr(turn, name) for name in fields if getattr(turn, name) not in (None, ())}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


def _several(row: dict, name: str) -> tuple:
    value = row.get(name)
    return tuple(value) if isinstance(value, (list, tuple)) or hasattr(value, "tolist") else ()


mlflow.models.set_model(ServedAgent())
