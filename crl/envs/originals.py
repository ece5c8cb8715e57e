"""Reading files of the original data, which a user has put somewhere: what is wrong with one is told with its remedy."""

import json
from pathlib import Path
from typing import Any

from crl.errors import DataError


def read_json(file: Path, kind: type, remedy: str) -> Any:
    """The content of a JSON file, which must be of this kind (list, dict). Raises DataError."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror}). Remedy: {remedy}") from error
    except ValueError as error:
        raise DataError(f"{file}: is no JSON ({error}). Remedy: download it again") from error
    if not isinstance(content, kind):
        raise DataError(f"{file}: holds a {type(content).__name__}, not a {kind.__name__}. Remedy: download it again")
    return content
