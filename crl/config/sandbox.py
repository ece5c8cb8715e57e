"""Parameters of the containers in which the code of SWE tasks runs."""

from pydantic import Field

from crl.config.base import Section


class SandboxConfig(Section):
    image: str = Field("crl/swe-base:bookworm", description="of tasks that name none: a local tag or a digest")
    memory_mb: int = Field(
        512, ge=64, description="memory of the processes of one container, no swap; its disks come on top"
    )
    cpus: float = Field(1.0, gt=0, description="CPU share of one container")
    processes: int = Field(128, ge=16, description="processes and threads in one container, about six of them ours")
    disk_mb: int = Field(
        256, ge=16, description="of the writable tmpfs that holds the repository, and again of /tmp; both are memory"
    )
    output_chars: int = Field(20_000, ge=1000, description="kept of a command's output: its head and its tail")
    command_timeout_s: float = Field(60.0, gt=0, description="wall clock of one command")
    grading_timeout_s: float = Field(300.0, gt=0, description="wall clock of the tests that grade a patch")
    episode_timeout_s: float = Field(3600.0, gt=0, description="a container older than this ends by itself")
    warm: int = Field(1, ge=0, description="containers kept started ahead, per environment worker")
