"""What runs in a sandbox uses no more than its share, and its next command is taken all the same."""

import socket
import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.config.sandbox import SandboxConfig
from crl.sandbox import Sandbox, SandboxBroken, SandboxPool
from crl.sandbox.engine import engine
from crl.sandbox.stream import Ending, Kept, Stream

pytestmark = pytest.mark.slow

# A bomb in a session of its own, after it has killed what started it and all that would end it.
SABOTAGE = """
    import os, signal
    if os.fork() == 0:
        os.setsid()
        os.kill(os.getppid(), signal.SIGKILL)
        for name in filter(str.isdigit, os.listdir("/proc")):
            if int(name) not in (1, os.getpid()):
                try:
                    os.kill(int(name), signal.SIGKILL)
                except OSError:
                    pass
        while True:
            try:
                os.fork()
            except OSError:
                pass
    os.wait()
"""


def python(sandbox: Sandbox, script: str, **options: float) -> tuple[int, str]:
    done = sandbox.run("python3 -", stdin=textwrap.dedent(script).encode(), **options)
    return done.exit_code, done.output


def still_usable(sandbox: Sandbox) -> bool:
    return sandbox.run("echo alive").output == "alive\n"


def test_a_fork_bomb_is_bounded_and_gone_with_its_command(sandbox: Sandbox) -> None:
    sandbox.run("bomb() { bomb | bomb & }; bomb; sleep 3", timeout_s=6)
    assert still_usable(sandbox)
    zombies = "ps -u 1000 --no-headers | grep -c defunct"
    assert (
        sandbox.run(f"for i in $(seq 100); do [ $({zombies}) = 0 ] && break; sleep 0.1; done; {zombies}").output
        == "0\n"
    )


def test_processes_end_at_the_limit(sandbox: Sandbox, small: SandboxConfig) -> None:
    _, output = python(
        sandbox,
        """
        import os, time
        started = 0
        try:
            while started < 10_000:
                if os.fork() == 0:
                    time.sleep(60)
                started += 1
        except BlockingIOError:
            print(started)
        """,
    )
    assert 0 < int(output) < small.processes


def test_a_bomb_that_kills_its_keepers_costs_no_more_than_its_own_episode(pool: SandboxPool) -> None:
    """It may make its container unusable: that is told apart from a failure of ours, and the container is removed."""
    sandbox, other = pool.take(), pool.take()
    try:
        python(sandbox, SABOTAGE, timeout_s=3)
        sandbox.run("true")
    except SandboxBroken as error:
        assert "unusable by its own commands" in str(error)  # noqa: PT017 - one of two good ends
        assert not sandbox.running()
    finally:
        assert still_usable(other)
        sandbox.close()
        other.close()


@pytest.mark.parametrize("protected", [False, True], ids=["plain", "lowers its score"])
def test_a_memory_bomb_is_killed_and_nothing_else(sandbox: Sandbox, pool: SandboxPool, protected: bool) -> None:
    other = pool.take()
    code, _ = python(
        sandbox,
        f"""
        if {protected}:
            open("/proc/self/oom_score_adj", "w").write("0")
        hoard = []
        while True:
            hoard.append(b"x" * 2**20)
        """,
    )
    assert code == 137
    assert still_usable(sandbox)
    assert still_usable(other)
    other.close()


def test_many_processes_share_one_memory_limit(sandbox: Sandbox) -> None:
    sandbox.run(
        "for i in $(seq 20); do python3 -c 'x = b\"x\" * 30 * 2**20; input()' < <(sleep 5) & done; wait", timeout_s=15
    )
    assert still_usable(sandbox)


def test_disks_are_bounded_and_full_ones_stop_nothing(sandbox: Sandbox, small: SandboxConfig) -> None:
    done = sandbox.run(
        "for d in /testbed /tmp /dev/shm; do dd if=/dev/zero of=$d/a bs=1M; dd if=/dev/zero of=$d/b bs=1M; done; "
        "du -cm --apparent-size /testbed /tmp /dev/shm | tail -n 1"
    )
    assert "No space left on device" in done.output
    assert small.disk_mb * 2 <= int(done.output.split()[-2]) <= small.disk_mb * 2 + 17
    assert still_usable(sandbox)
    assert sandbox.run("rm /testbed/* /tmp/*; echo x > /testbed/x").exit_code == 0


def test_the_number_of_files_is_bounded(sandbox: Sandbox) -> None:
    code, output = python(
        sandbox,
        """
        import errno
        try:
            for number in range(10**6):
                open(f"/testbed/{number}", "w").close()
        except OSError as error:
            print(error.errno == errno.ENOSPC, number <= 100_000)
        """,
    )
    assert (code, output) in [(0, "True True\n"), (137, "")]  # out of inodes, or before that out of memory
    assert still_usable(sandbox)


def test_a_file_is_no_larger_than_the_disk_even_where_it_is_hollow(sandbox: Sandbox) -> None:
    assert sandbox.run("truncate -s 10G /testbed/hollow").exit_code != 0


@pytest.mark.parametrize("flood", ["yes", "cat /dev/zero", "yes >&2", "trap '' PIPE TERM; while :; do yes; done"])
def test_endless_output_is_cut_and_its_command_ended(sandbox: Sandbox, small: SandboxConfig, flood: str) -> None:
    done = sandbox.run(flood)
    assert "bytes of output were cut here" in done.output
    assert "killed: it had printed more than" in done.output
    assert len(done.output) < small.output_chars + 300
    assert not done.timed_out
    assert still_usable(sandbox)


def test_head_and_tail_of_a_long_output_are_kept(sandbox: Sandbox, small: SandboxConfig) -> None:
    done = sandbox.run("echo first; seq 100000; echo last")
    assert done.output.startswith("first\n1\n2\n")
    assert done.output.endswith("99999\n100000\nlast\n")
    assert sandbox.run("seq 500").output == "".join(f"{n}\n" for n in range(1, 501))


@pytest.mark.parametrize(
    "command",
    [
        "trap '' TERM INT HUP; while :; do sleep 1; done",
        "trap '' TERM; (trap '' TERM; exec -a stubborn sleep 1000) & setsid -f bash -c 'exec -a stubborn sleep 1000'; wait",
        "nohup setsid -f bash -c 'exec -a stubborn sleep 1000' >/dev/null 2>&1; kill -STOP $$",
    ],
    ids=["ignores TERM", "in the background", "in another session"],
)
def test_a_command_out_of_time_is_gone_with_all_it_started(sandbox: Sandbox, command: str) -> None:
    done = sandbox.run(command, timeout_s=1)
    assert done.timed_out
    assert done.exit_code == 137
    assert "stubborn" not in sandbox.run("ps -eo args | grep -v grep").output


def test_background_processes_end_with_their_command(sandbox: Sandbox) -> None:
    done = sandbox.run("setsid -f bash -c 'exec -a stubborn sleep 1000'; exec -a stubborn sleep 1000 & echo done")
    assert done.output == "done\n"
    assert not done.timed_out
    assert sandbox.run("ps -eo comm,args | grep -c '^stubborn' ").output == "0\n"


def test_a_survivor_that_killed_the_wrapper_is_killed_from_outside(sandbox: Sandbox) -> None:
    command = "setsid -f bash -c 'exec -a stubborn sleep 1000' >/dev/null 2>&1; kill -9 $(ps -o ppid= -p $PPID)"
    assert sandbox.run(command).exit_code == 137
    assert "stubborn" not in sandbox.run("ps -eo args | grep -v grep").output


def test_a_container_that_cannot_be_cleaned_is_given_up(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crl.sandbox.shell.cleaner", lambda marker: ["false"])
    with pytest.raises(SandboxBroken, match="unusable by its own commands and removed"):
        sandbox.run("kill -9 -1")
    assert not sandbox.running()


def test_every_limit_reached_the_engine(sandbox: Sandbox, small: SandboxConfig) -> None:
    limits = engine().api.inspect_container(sandbox.id)["HostConfig"]
    assert limits["NanoCpus"] == small.cpus * 1e9
    assert limits["PidsLimit"] == small.processes
    assert limits["Memory"] == limits["MemorySwap"] == (small.memory_mb + 2 * small.disk_mb + 16) * 2**20
    assert (limits["NetworkMode"], limits["ReadonlyRootfs"], limits["Privileged"]) == ("none", True, False)
    assert (limits["CapDrop"], limits["CapAdd"]) == (["ALL"], None)
    assert limits["Binds"] is None
    assert sandbox.run("ulimit -c; ulimit -Hn; ulimit -f").output.split() == ["0", "1024", str(small.disk_mb * 1024)]


@pytest.mark.parametrize("attempt", ["kill -9 1", "kill -TERM 1", "kill -9 -1", "pkill -9 sleep", "kill -9 7"])
def test_the_container_outlives_attempts_to_kill_it(sandbox: Sandbox, attempt: str) -> None:
    """An episode that could end its container would escape being graded: lost containers are replayed, not scored."""
    sandbox.run(attempt)
    assert still_usable(sandbox)


@pytest.mark.parametrize("command", ["echo a\0b", "echo " + "x" * 200_000], ids=["nul", "long"])
def test_a_command_that_no_shell_takes_is_answered_like_one(sandbox: Sandbox, command: str) -> None:
    done = sandbox.run(command)
    assert done.exit_code == 126
    assert done.output.startswith("bash: ")


def test_commands_answer_as_in_a_terminal(sandbox: Sandbox) -> None:
    assert sandbox.run("echo out; echo err >&2; echo out").output == "out\nerr\nout\n"
    assert sandbox.run("exit 3").exit_code == 3
    assert sandbox.run("cat", stdin=b"given \xff").output == "given �"
    assert sandbox.run("wc -c", stdin=b"x" * 3_000_000).output == "3000000\n"
    assert sandbox.run("true", stdin=b"x" * 3_000_000).exit_code == 0  # not all is read
    assert sandbox.run("pwd").output == "/testbed\n"


def test_a_stream_that_ends_with_input_unread_keeps_what_was_printed():
    ours, engines = socket.socketpair()
    printed = b"\x01\0\0\0\0\0\0\x05done\n"
    engines.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n" + printed)
    stream, kept = Stream(ours, "1.41", "an-exec"), Kept(100)
    engines.close()  # the request itself is unread: a reset for us
    assert stream.exchange(b"never read", kept, time.monotonic() + 60) is Ending.END
    assert kept.text() == "done\n"


def test_a_stream_without_input_that_is_reset_is_a_lost_engine():
    ours, engines = socket.socketpair()
    engines.sendall(b"HTTP/1.1 101 UPGRADED\r\n\r\n")
    stream = Stream(ours, "1.41", "an-exec")
    engines.close()
    with pytest.raises(ConnectionResetError):
        stream.exchange(b"", Kept(100), time.monotonic() + 60)


@given(st.lists(st.binary(max_size=400), max_size=30), st.integers(10, 200))
def test_kept_output_is_exact_when_short_and_bounded_when_long(parts: list[bytes], chars: int) -> None:
    kept, whole = Kept(chars), b"".join(parts)
    for part in parts:
        kept.add(part)
    text, full = kept.text(), whole.decode(errors="replace")
    if len(whole) <= chars:
        assert text == full
    assert len(text) <= chars + 80
    if len(full) > chars:
        assert "bytes of output were cut here" in text
