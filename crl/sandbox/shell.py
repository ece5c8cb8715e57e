"""How a command is started inside a container, so that it is bounded and nothing of it stays."""

KILLED = 137  # 128 + SIGKILL
REFUSED = 126  # the shell's code for what was found but cannot be executed
MAX_COMMAND_BYTES = 100_000  # the kernel takes 131,072 for one argument

# $1 marker, $2 seconds, rest: what to run. The marker tells that the container took the command and, at the
# end, that nothing of it is left: `kill -1` reaches every process of this user but this shell. The shell keeps one
# stream for both outputs, in order, and stays silent itself.
_WRAPPER = """\
echo "$1"; cd /testbed 2>&1 || exit 1; exec 2>/dev/null
timeout -s KILL "$2" "${@:3}" 2>&1
code=$?; kill -s KILL -- -1; printf %s "$1"; exit $code"""
_CLEANER = 'kill -s KILL -- -1 2>/dev/null; echo "$1"'
# First in line when memory runs out, so that the wrapper and PID 1 never are.
_LOGIN_SHELL = 'echo 1000 > /proc/self/oom_score_adj; exec bash -lc "$0"'
# Replaces the contents of the working folder by the archive on standard input.
UNPACK = ["bash", "-c", "chmod -R u+rwX . && find . -mindepth 1 -delete && tar -x --no-same-owner -f -"]


def wrapped(marker: str, timeout_s: float, arguments: list[str]) -> list[str]:
    return ["bash", "-c", _WRAPPER, "sandbox", marker, f"{max(timeout_s, 0.01):.3f}", *arguments]


def cleaner(marker: str) -> list[str]:
    """Ends every process of the commands' user and says so."""
    return ["bash", "-c", _CLEANER, "sandbox", marker]


def login_shell(command: str) -> list[str]:
    return ["bash", "-c", _LOGIN_SHELL, command]


def refusal(command: str) -> str:
    """Why a command cannot be handed to a shell; empty when it can."""
    if "\0" in command:
        return "bash: a command cannot hold a NUL byte\n"
    if (size := len(command.encode(errors="replace"))) > MAX_COMMAND_BYTES:
        return f"bash: argument list too long ({size} bytes, {MAX_COMMAND_BYTES} at most); write long texts to files\n"
    return ""
