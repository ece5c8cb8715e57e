"""The contract of engines, held by the transformers engine."""

import pytest

from tests.engine.contract import EngineContract


class TestTransformersEngine(EngineContract):
    @pytest.fixture
    def engine(self, make_engine, end_id):
        return make_engine(end_ids=[end_id])
