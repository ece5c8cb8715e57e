import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from crl.report.inputs import ReportInputs


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The made-up run beside this file (tests are not a package)."""
    spec = importlib.util.spec_from_file_location("synthetic", Path(__file__).parent / "synthetic.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def inputs(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> ReportInputs:
    return synthetic.inputs(tmp_path_factory.mktemp("run"))
