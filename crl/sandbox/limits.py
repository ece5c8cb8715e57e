"""What a container may do and use: the arguments with which each is created."""

import math

from crl.config.sandbox import SandboxConfig

OWNER_LABEL = "crl.sandbox.owner"
AGENT = "1000:1000"  # runs the commands
KEEPER = "1001:1001"  # runs PID 1: another user, so that the commands can neither signal nor trace it
STOCK_LIFE_S = 600.0  # how long a started container may wait in the warm stock
MAX_FILES = 100_000  # per tmpfs; an inode costs about 1 KB of the container's memory
SHM_MB = 16  # /dev/shm: semaphores of multiprocessing
MIB = 2**20

ENVIRONMENT = {
    "HOME": "/tmp",  # the root is read-only
    "USER": "agent",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "PYTHONHASHSEED": "0",  # the same commands give the same texts
    "PYTHONDONTWRITEBYTECODE": "1",  # bytecode is matched by second and size: two quick edits would run the first one twice
}


def memory_bytes(config: SandboxConfig) -> int:
    """Limit of the container: the kernel counts the pages of its tmpfs as its memory, so they come on top.

    Otherwise filled disks would leave nothing for the next command, and a command could end its own episode.
    """
    return (config.memory_mb + 2 * config.disk_mb + SHM_MB) * MIB


def container_arguments(image: str, owner: str, config: SandboxConfig) -> dict:
    """Arguments of `docker.APIClient.create_container`, the host configuration still a plain dictionary."""
    from docker.types import LogConfig, Ulimit

    disk = f"rw,exec,nosuid,nodev,size={config.disk_mb}m,nr_inodes={MAX_FILES},uid=1000,gid=1000,mode=0755"
    life_s = math.ceil(config.episode_timeout_s + STOCK_LIFE_S)
    return {
        "image": image,
        "entrypoint": ["sleep"],
        "command": [str(life_s)],  # the container's own wall clock: PID 1 ends, auto-remove does the rest
        "user": KEEPER,
        "working_dir": "/",
        "hostname": "sandbox",
        "environment": ENVIRONMENT,
        "labels": {OWNER_LABEL: owner},
        "network_disabled": True,
        "use_config_proxy": False,  # the user's proxy settings may hold credentials
        "host_config": {
            "network_mode": "none",
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "read_only": True,
            "tmpfs": {"/testbed": disk, "/tmp": disk.replace("mode=0755", "mode=1777")},
            "init": True,  # reaps what commands leave behind
            "auto_remove": True,
            "pids_limit": config.processes,
            "mem_limit": memory_bytes(config),
            "memswap_limit": memory_bytes(config),  # equal: no swap
            "nano_cpus": int(config.cpus * 1e9),
            "shm_size": SHM_MB * MIB,
            "ulimits": [
                Ulimit(name="nofile", soft=1024, hard=1024),
                Ulimit(name="core", soft=0, hard=0),
                Ulimit(name="fsize", soft=config.disk_mb * MIB, hard=config.disk_mb * MIB),
            ],
            "log_config": LogConfig(type="none"),  # output goes nowhere on the host's disk
        },
    }
