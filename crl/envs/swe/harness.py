"""What the official harness (swebench 5) can grade: asked when the instances are read, not at an episode's end."""

from importlib.util import find_spec

from crl.envs.errors import EnvUnavailable
from crl.envs.swe.instances import Instance
from crl.errors import DataError

_PYTEST_PARSERS = {  # functions of the harness; those of single repositories are the same under other names
    "parse_log_pytest", "parse_log_pytest_options", "parse_log_pytest_v2", "parse_log_seaborn", "parse_log_matplotlib",
}  # fmt: skip


def demand_harness() -> None:
    """Raises EnvUnavailable where the harness is missing: told at the start of an episode, not at its end."""
    if find_spec("swebench") is None:
        raise EnvUnavailable(
            "the package swebench, which grades SWE tasks, is missing. Remedy: pip install 'crl[swe]' (`make install`)"
        )


def read_as_pytest(instance: Instance) -> bool:
    """Whether the harness reads the log by pytest's lines, a verdict and a name."""
    from swebench.harness.log_parsers import PARSER_REGISTRY

    return PARSER_REGISTRY[instance.log_parser].__name__ in _PYTEST_PARSERS


def demand_gradable(instance: Instance) -> None:
    """Raises DataError for an instance that no grading could judge, EnvUnavailable where the harness is missing."""
    demand_harness()
    from swebench.harness.constants import EvalType
    from swebench.harness.log_parsers import PARSER_REGISTRY

    types = [kind.value for kind in EvalType]
    if instance.log_parser not in PARSER_REGISTRY:
        _refuse(instance, "log_parser", instance.log_parser, "give one that swebench 5 has, such as parse_log_pytest")
    if instance.eval_type not in types:
        _refuse(instance, "eval_type", instance.eval_type, f"use one of {', '.join(types)}")
    if not instance.fail_to_pass:
        _refuse(
            instance, "FAIL_TO_PASS", [], "name the tests that the repair makes pass; without any, every patch resolves"
        )
    for column, names in (("FAIL_TO_PASS", instance.fail_to_pass), ("PASS_TO_PASS", instance.pass_to_pass)):
        for name in names if read_as_pytest(instance) else ():
            if not name.isprintable() or name != name.strip():
                _refuse(
                    instance, column, name, "name the test as `pytest -rA` prints it: escaped, without blanks around it"
                )


def _refuse(instance: Instance, field: str, value: object, remedy: str) -> None:
    raise DataError(f"instance {instance.id!r}: {field} = {value!r} cannot be graded. Remedy: {remedy}")
