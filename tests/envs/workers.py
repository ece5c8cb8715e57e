"""The environment workers of this process, as an operator's tools see them."""

import psutil


def newest_workers(count: int) -> list[int]:
    """Process ids of the `count` workers that were started last, oldest first."""
    workers = [child for child in psutil.Process().children() if _is_worker(child)]
    return [worker.pid for worker in sorted(workers, key=psutil.Process.create_time)][-count:]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "crl.envs.hosting.worker" in process.cmdline()
    except psutil.NoSuchProcess:  # another child of this process, which has just ended
        return False
