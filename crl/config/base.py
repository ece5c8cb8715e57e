"""Strict sections: unknown keys and out-of-range values are errors that name their remedy."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from crl.errors import ConfigError


class Section(BaseModel):
    """Base of every section: frozen, no unknown keys, every number finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_is_a_truth_value(cls, value: Any, info: ValidationInfo) -> Any:
        """YAML's `true` and `yes` are Python's 1: `rounds.count: yes` would be one round."""
        annotation = cls.model_fields[info.field_name].annotation
        kinds = {annotation, *get_args(annotation)}
        if isinstance(value, bool) and kinds & {int, float} and bool not in kinds:
            raise PydanticCustomError("truth_value", "a number is due, not a truth value")
        return value


def explain(error: ValidationError, model: type[BaseModel]) -> ConfigError:
    """Turn pydantic's report into one line per fault: field = value: fault. Remedy."""
    return ConfigError("\n".join(_explain_one(fault, model) for fault in error.errors()))


def _explain_one(fault: dict[str, Any], model: type[BaseModel]) -> str:
    path = ".".join(str(part) for part in fault["loc"]) or "params"
    context = fault.get("ctx", {})
    match fault["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(path, field_names(model), n=1)
            remedy = f"did you mean {near[0]}?" if near else "remove it; `crl check --fields` lists all fields"
            return f"{path} = {fault['input']!r}: unknown field. Remedy: {remedy}"
        case "missing":
            return f"{path}: missing. Remedy: add it; `crl check --fields` tells what it means"
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than" as kind:
            bound = next(iter(context.values()))
            words = {
                "greater_than_equal": "at least",
                "greater_than": "more than",
                "less_than_equal": "at most",
                "less_than": "less than",
            }
            return f"{path} = {fault['input']!r}: out of range. Remedy: use a value of {words[kind]} {bound}"
        case "finite_number":
            return f"{path} = {fault['input']!r}: not finite. Remedy: use a number"
        case "literal_error" | "enum":
            return f"{path} = {fault['input']!r}: not a choice. Remedy: use one of {context['expected']}"
        case "value_error":
            message = str(context.get("error", fault["msg"]))
            return message if path == "params" or message.startswith(path) else f"{path}.{message}"
        case _:
            return f"{path} = {fault['input']!r}: {fault['msg']}. Remedy: correct the value's type"


def field_names(model: type[BaseModel]) -> Iterable[str]:
    """Dotted names of all leaf fields, in order; mapping fields count as leaves."""
    return (name for name, _, _ in described_fields(model))


def described_fields(model: type[BaseModel], prefix: str = "") -> Iterable[tuple[str, str, str]]:
    """(dotted name, default as text, meaning) of all leaf fields, in order."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from described_fields(field.annotation, f"{prefix}{name}.")
        else:
            default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
            yield f"{prefix}{name}", default, field.description or ""


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """(dotted name, value) of the leaves of nested mappings."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
