"""A run in which both models learn by adapters: what it commits, how it goes on, what it puts out."""

import asyncio
from pathlib import Path

from safetensors import safe_open

from crl.files import digest_folder, round_folder
from crl.models.resolve import load_model
from crl.round.rollback import forget_after
from crl.round.state import StateFolder
from tests.round import runs

LORA = [f"learn.{role}.lora.rank=4" for role in ("actor", "extractor")]


async def play(folder: Path, count: int) -> StateFolder:
    """`count` rounds from wherever the run stands; then it puts its actor out."""
    run = runs.open_run(runs.small_config("lockstep", 3, *LORA), folder)
    try:
        for _ in range(count):
            await run.play_round()
        run.parts.actor.export(folder / "put_out")
    finally:
        await run.close()
    return run.parts.state


def test_a_run_with_adapters_resumes_bit_for_bit_and_its_checkpoints_hold_no_base(folder: Path) -> None:
    state = asyncio.run(play(folder, 3))
    whole, put_out = runs.digests(folder), digest_folder(folder / "put_out")
    forget_after(state, 1)
    asyncio.run(play(folder, 1))
    assert runs.digests(folder) == whole
    assert digest_folder(folder / "put_out") == put_out

    last = round_folder(state.checkpoints, 2)
    moved = 0
    for role in ("actor", "extractor", "guard"):
        assert not (last / role / "model.safetensors").exists()
        with safe_open(last / role / "adapter_model.safetensors", "pt") as matrices:
            assert all(".lora_" in name for name in matrices.keys())  # noqa: SIM118  it is no dict
            moved += sum(bool(matrices.get_tensor(name).any()) for name in matrices.keys() if "lora_B" in name)  # noqa: SIM118
    assert moved  # the actor learned
    model, base = load_model(folder / "put_out")[0], load_model(folder / "models" / "actor")[0]
    assert model.state_dict().keys() == base.state_dict().keys()
