"""Removes the containers of a process that ended: `python reaper.py DOCKER_HOST LABEL=OWNER`, see `owner.prepare_process`."""

import contextlib
import signal
import sys
import time

EMPTY_LOOKS = 2  # a request of the dead owner may still be at work in the engine: look again after an empty look
PAUSE_S = 1.0
GIVE_UP_S = 120.0  # of an engine that does not answer; the containers' own wall clock ends them


def reap(host: str, label: str) -> None:
    """Remove all containers that carry the label, until none are left."""
    import docker
    from requests.exceptions import RequestException

    deadline_s, empty = time.monotonic() + GIVE_UP_S, 0
    while empty < EMPTY_LOOKS and time.monotonic() < deadline_s:
        with contextlib.suppress(docker.errors.DockerException, RequestException):
            api = docker.APIClient(base_url=host, version="auto", timeout=30)
            found = api.containers(all=True, filters={"label": label})
            empty = 0 if found else empty + 1
            for container in found:
                with contextlib.suppress(docker.errors.APIError):
                    api.remove_container(container["Id"], force=True, v=True)
        time.sleep(PAUSE_S if empty < EMPTY_LOOKS else 0)


def main() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):  # those of the owner's terminal are not ours
        signal.signal(number, signal.SIG_IGN)
    while sys.stdin.buffer.read(1):
        pass
    reap(sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    main()
