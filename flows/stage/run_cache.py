"""DVC's run cache, where it keeps which inputs gave which outs, after a DVC that was killed or found the disk full.

DVC 3.67 takes the newest file of a stage's folder for its last run, also one that it had not finished, and stops at it; of a file
that it cannot read only an empty folder remains, at which it stops as well, for good (`findings/` shows both).
"""

import contextlib
import time
from configparser import ConfigParser
from pathlib import Path

DVC = Path(".dvc")
_AT_WORK_S = 10.0  # another DVC may be between folder and file right now


def mend(dvc: Path = DVC) -> None:
    """Remove what was left unfinished."""
    before_s = time.time() - _AT_WORK_S
    for folder in _folder(dvc).glob("*/*"):
        for file in folder.glob("*.tmp"):
            if file.stat().st_mtime < before_s:
                file.unlink(missing_ok=True)
        if folder.stat().st_mtime < before_s:
            with contextlib.suppress(OSError):  # it holds files, as nearly all do
                folder.rmdir()


def _folder(dvc: Path) -> Path:
    """Beside the cache's files: in the checkout, or where its configuration says."""
    config = ConfigParser(strict=False, interpolation=None)
    config.read([dvc / "config", dvc / "config.local"])
    return dvc / config.get("cache", "dir", fallback="cache") / "runs"
