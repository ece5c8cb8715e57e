"""What runs in a sandbox cannot leave it, nor learn or change anything of the host. One attempt, one test."""

import os
import socket
import textwrap
import threading
from pathlib import Path

import pytest

from crl.config.sandbox import SandboxConfig
from crl.sandbox import Sandbox, SandboxPool
from crl.sandbox.engine import DEFAULT_HOST, engine

pytestmark = pytest.mark.slow


def python(sandbox: Sandbox, script: str) -> str:
    done = sandbox.run("python3 -", stdin=textwrap.dedent(script).encode())
    assert done.exit_code == 0, done.output
    return done.output.strip()


def test_no_name_can_be_resolved(sandbox: Sandbox) -> None:
    done = sandbox.run("python3 -c 'import socket; socket.getaddrinfo(\"pypi.org\", 443)'")
    assert done.exit_code != 0
    assert "gaierror" in done.output


def test_only_the_loopback_interface_exists(sandbox: Sandbox) -> None:
    assert python(sandbox, "import socket; print([name for _, name in socket.if_nameindex()])") == "['lo']"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "172.17.0.1", "8.8.8.8", "host"], ids=["metadata", "gateway", "internet", "host"]
)
def test_no_address_can_be_reached(sandbox: Sandbox, address: str) -> None:
    """A listener on all interfaces of the host proves that it is the sandbox which refuses."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        if address == "host":
            address = socket.gethostbyname(socket.gethostname())
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        script = f"""
            import socket
            for port in (53, 80, 443, 2375, {port}):
                try:
                    socket.create_connection(({address!r}, port), timeout=2)
                    print("reached", port)
                except OSError as error:
                    print(error.errno is not None or "timeout")
        """
        assert "reached" not in python(sandbox, script)


def test_the_hosts_abstract_sockets_are_out_of_reach(sandbox: Sandbox) -> None:
    """They have no file: only a network namespace of its own keeps a container from them."""
    name = f"\0crl-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(name)
        server.listen()
        client.connect(name)
        script = f"""
            import socket
            try:
                socket.socket(socket.AF_UNIX).connect({name!r})
                print("reached")
            except ConnectionRefusedError:
                print("refused")
        """
        assert python(sandbox, script) == "refused"


@pytest.mark.parametrize("family", ["AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP", "AF_PACKET, socket.SOCK_RAW"])
def test_raw_sockets_are_refused(sandbox: Sandbox, family: str) -> None:
    done = sandbox.run(f"python3 -c 'import socket; socket.socket(socket.{family})'")
    assert "PermissionError" in done.output


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/usr/bin/python3", "/usr/lib/python3/dist-packages/x", "/root/x", "/x"]
)
def test_the_root_cannot_be_written(sandbox: Sandbox, path: str) -> None:
    done = sandbox.run(f"echo x > {path}")
    assert done.exit_code != 0
    assert "Read-only file system" in done.output or "Permission denied" in done.output


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
        "/sys/fs/cgroup/memory/release_agent",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory.max",
    ],
)
def test_settings_of_the_kernel_cannot_be_written(sandbox: Sandbox, path: str) -> None:
    """Those with which a container's root has left containers before, and those of its own limits."""
    assert sandbox.run(f"echo x > {path}").exit_code != 0


def test_nothing_can_be_mounted(sandbox: Sandbox) -> None:
    for attempt in ("mount -t tmpfs x /mnt", "mount -o remount,rw /", "mount --bind /tmp /usr", "umount /proc/kcore"):
        assert sandbox.run(attempt).exit_code != 0


def test_no_new_namespace_gives_capabilities(sandbox: Sandbox) -> None:
    for attempt in ("unshare -Ur id", "unshare -n id", "unshare -m id"):
        done = sandbox.run(attempt)
        assert done.exit_code != 0
        assert "uid=0" not in done.output


def test_all_capabilities_are_gone_for_good(sandbox: Sandbox) -> None:
    status = dict(
        line.split(":\t", 1) for line in sandbox.run("cat /proc/self/status").output.splitlines() if ":\t" in line
    )
    assert {status[name].strip("0") for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {""}
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Seccomp"].strip() == "2"
    assert status["Uid"].split() == ["1000"] * 4


def test_devices_cannot_be_made_or_read(sandbox: Sandbox) -> None:
    assert sandbox.run("mknod /tmp/sda b 8 0").exit_code != 0
    assert sandbox.run("mknod /tmp/mem c 1 1").exit_code != 0
    devices = set(sandbox.run("find /dev -type b -o -type c").output.split())
    harmless = ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx")
    assert devices <= {f"/dev/{name}" for name in harmless} | {"/dev/pts/ptmx"}


def test_files_cannot_be_given_away(sandbox: Sandbox) -> None:
    done = sandbox.run("touch /tmp/f && chown root /tmp/f")
    assert "Operation not permitted" in done.output


def test_a_setuid_program_raises_nothing(sandbox: Sandbox) -> None:
    done = sandbox.run("cp /bin/bash /tmp/b && chmod 6755 /tmp/b && /tmp/b -p -c 'id -u'")
    assert done.output.strip() == "1000"
    assert sandbox.run("su -c id; sudo -n id; python3 -c 'import os; os.setuid(0)'").exit_code != 0
    assert sandbox.run("find / -xdev -type f -perm /6000 2>/dev/null").output == ""


def test_pid_1_can_be_neither_traced_nor_read(sandbox: Sandbox) -> None:
    script = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        print(libc.ptrace(16, 1, 0, 0), os.strerror(ctypes.get_errno()))
        for name in ("environ", "mem", "root/etc/passwd", "fd"):
            try:
                print(os.listdir("/proc/1/fd") if name == "fd" else open(f"/proc/1/{name}", "rb").read())
            except PermissionError:
                print("denied")
    """
    assert python(sandbox, script).splitlines() == ["-1 Operation not permitted", *["denied"] * 4]


def test_only_its_own_processes_are_visible(pool: SandboxPool, sandbox: Sandbox) -> None:
    """Neither those of the host, this test among them, nor those of another sandbox."""
    other = pool.take()
    running = threading.Thread(target=other.run, args=("exec -a elsewhere sleep 4",))
    running.start()
    try:
        processes = sandbox.run("sleep 1; ps -eo args --no-headers").output
    finally:
        running.join()
        other.close()
    assert "ps -eo args" in processes
    assert not any(name in processes for name in ("elsewhere", "pytest", "dockerd"))


def test_the_docker_socket_is_absent(sandbox: Sandbox) -> None:
    done = sandbox.run("find / -name 'docker*.sock' -o -name 'containerd*.sock' 2>/dev/null; ls /run")
    assert "sock" not in done.output


def test_the_hosts_environment_is_not_passed_on(
    small: SandboxConfig, pool: SandboxPool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the variables of the run nor the proxy settings of the Docker client, which may hold a password."""
    (tmp_path / "config.json").write_text('{"proxies": {"default": {"httpProxy": "http://user:hush-hush@proxy"}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("CRL_TEST_SECRET", "hush-hush")
    if engine().host == DEFAULT_HOST:  # another spelling: a client that has not read its settings yet
        monkeypatch.setenv("DOCKER_HOST", "unix:///var/run/../run/docker.sock")
    other = SandboxPool(small)
    try:
        seen = other.take().run("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'").output
    finally:
        other.close()
    assert "HOME=/tmp" in seen
    assert "hush" not in seen


def test_no_folder_of_the_host_is_mounted(sandbox: Sandbox) -> None:
    """Only its init and the three files that an engine makes for each container come from a disk, read-only."""
    mounts = [line.split()[:4] for line in sandbox.run("cat /proc/mounts").output.splitlines()]
    from_disk = {target: options for source, target, _, options in mounts if source.startswith("/dev/")}
    assert set(from_disk) <= {
        "/etc/resolv.conf",
        "/etc/hostname",
        "/etc/hosts",
        "/sbin/docker-init",
        "/usr/sbin/docker-init",
    }
    assert all(options.split(",")[0] == "ro" for options in from_disk.values())


def test_an_episode_finds_nothing_of_the_one_before(pool: SandboxPool) -> None:
    places = "/testbed /tmp /dev/shm"
    first = pool.take()
    first.run(f"for d in {places}; do echo cheat > $d/left; done; echo 'echo planted' > ~/.bash_profile; sleep 99 &")
    assert first.run("true").output == "planted\n"
    first.close()
    second = pool.take()
    try:
        assert second.id != first.id
        assert second.run(f"find {places} -type f; ps -eo comm | grep -c sleep").output == "1\n"  # PID 1's own
    finally:
        second.close()


def test_output_reaches_no_log_on_the_hosts_disk(sandbox: Sandbox) -> None:
    sandbox.run("echo to-the-log")
    host_config = engine().api.inspect_container(sandbox.id)["HostConfig"]
    assert host_config["LogConfig"]["Type"] == "none"
    assert engine().api.inspect_container(sandbox.id)["LogPath"] == ""
