"""A command that is stopped ends: in order where it can, at its time where it cannot, and says what to do."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from flows.local.command import command

ROOT = Path(__file__).parents[2]
COMMAND = """
import asyncio, signal, sys, threading, time
from flows.local import stops
from flows.local.command import command

async def orderly():
    try:
        print("works", flush=True)
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.1)
        print("in order", flush=True)

async def in_a_thread():
    print("works", flush=True)
    await asyncio.to_thread(time.sleep, 600)  # an update, an evaluation

async def deaf():
    print("works", flush=True)
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            pass

async def overheard():
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)  # not the main thread, which listens
    await orderly()

async def forgotten():
    answer = asyncio.get_running_loop().create_future()

    def computes():  # as a turnstile does, whose callers wait for it
        print("works", flush=True)
        time.sleep(2)
        answer.set_result(None)

    asyncio.get_running_loop().call_soon(computes)
    await answer
    await asyncio.sleep(600)

class Slow(threading.Thread):
    def start(self):
        super().start()
        time.sleep(1)  # on a busy machine the work has begun before its start returns

GRACE_S = {"in_a_thread": 4, "deaf": 4, "forgotten": 4}  # of those that do not end in order: the test waits for it

@command(grace_s=GRACE_S.get(sys.argv[1], 60))
def main():
    if len(sys.argv) > 2:
        threading.Thread = Slow
    stops.run(globals()[sys.argv[1]]())

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run in the background of a shell
sys.exit(main())
"""

STAGE = """
import asyncio, time
from pathlib import Path
from prefect import flow
from flows.prefect.entry import main

@flow(name="computing")
async def computing(params: Path) -> None:
    answer = asyncio.get_running_loop().create_future()

    def computes():
        print("works", flush=True)
        time.sleep(3)  # Prefect's handler of SIGTERM would raise here, and asyncio forget it
        answer.set_result(None)

    asyncio.get_running_loop().call_soon(computes)
    await answer
    await asyncio.sleep(600)

main(computing)
"""

FULL = """
from pathlib import Path
from prefect import flow
from flows.prefect.entry import main

@flow(name="writing")
async def writing(params: Path) -> None:
    Path("/dev/full").write_text("a checkpoint")

main(writing)
"""


def stopped(program: str, *arguments: str, number: int, **environment: str) -> tuple[int, str]:
    """How the program ends after this signal (0: none), and what it said."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments], env=os.environ | {"PYTHONPATH": str(ROOT)} | environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        try:
            while (line := process.stdout.readline()) != "works\n":
                assert process.poll() is None, line
            process.send_signal(number)
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert "Traceback" not in said
    return process.returncode, said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "TERM"])
def test_what_can_ends_in_order_and_says_what_to_do(number, code):
    for slow in ([], ["slow"]):
        ended, said = stopped(COMMAND, "orderly", *slow, number=number)
        assert ended == code
        assert said.splitlines() == ["in order", "interrupted; the same command goes on where it stopped"]


@pytest.mark.parametrize("work", ["in_a_thread", "deaf", "forgotten"])
def test_whatever_a_stage_is_at_it_ends_with_the_signals_status(work):
    assert stopped(COMMAND, work, number=signal.SIGTERM)[0] == 143


def test_a_signal_that_does_not_wake_the_main_thread_is_heard():
    """Another thread took it; or it came just before the main one fell asleep, as happens on a busy machine."""
    ended, said = stopped(COMMAND, "overheard", number=0)
    assert (ended, "in order" in said) == (143, True)


@pytest.mark.slow
def test_a_stage_that_is_stopped_in_the_middle_of_a_computation_ends(prefect_server):
    api, params = PREFECT_API_URL.value(), str(ROOT / "params.yaml")
    ended, said = stopped(STAGE, "--params", params, number=signal.SIGTERM, PREFECT_API_URL=api)
    assert ended == 143
    assert said.splitlines()[-1] == "interrupted; the same command goes on where it stopped"


@pytest.mark.slow
def test_a_stage_whose_disk_is_full_says_so_without_a_traceback(prefect_server):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": PREFECT_API_URL.value()}
    argv = [sys.executable, "-c", FULL, "--params", str(ROOT / "params.yaml")]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Remedy: make room" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_a_sentence_with_a_remedy_and_a_fault_of_ours_is_shown_whole(capsys):
    @command()
    def fill() -> None:
        with open("/dev/full", "w") as file:
            file.write("a checkpoint")

    assert fill() == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "Remedy: make room" in said

    @command()
    def wrong() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        wrong()
