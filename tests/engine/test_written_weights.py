"""Weights as a file that vLLM reloads."""

import pytest
import torch
from safetensors.torch import load_file

from crl.engine.weights import write_weights
from tests.learn.samples import tiny_model


def test_every_name_is_written_also_of_tied_weights_and_of_slices_of_one_tensor(tmp_path):
    whole = torch.arange(12.0).reshape(4, 3)
    state = tiny_model(tied=True).state_dict() | {"upper": whole[:2], "lower": whole[2:], "turned": whole.t()}
    write_weights(state, tmp_path)
    written = load_file(tmp_path / "model.safetensors")
    assert written.keys() == state.keys()
    assert all(torch.equal(written[name], tensor) for name, tensor in state.items())


def test_what_is_in_memory_already_is_not_copied_to_be_written(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """The head maps a file of its learner's workers: it need not hold their model once more."""
    state = tiny_model(tied=False).state_dict()
    monkeypatch.setattr(torch.Tensor, "clone", lambda _: pytest.fail("a copy"))
    write_weights(state, tmp_path)
    assert load_file(tmp_path / "model.safetensors").keys() == state.keys()
