"""vLLM servers of the checkout's models: the actor's and the extractor's, as params.yaml describes them."""

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from crl.config import Config, load
from crl.errors import ConfigError
from flows.local.kind import Kind
from flows.local.process import Running, http_ok, spawn
from flows.stage.paths import BASE

_STARTUP_S = 600.0  # 50 s on a quiet machine; large weights and compilation take minutes


class _Vllm(Kind):
    """One server of one role's model: what the warm start made, or the named model."""

    role: ClassVar[str]
    variable: ClassVar[str]

    def lacking(self) -> str | None:
        if find_spec("vllm") is None:
            return "vLLM is not installed. Remedy: make cluster"
        try:
            config = load()
        except ConfigError as error:
            return str(error)
        if self._scratch(config) and not self._base.is_dir():
            return f"no model to serve: {self._base} is missing. Remedy: dvc repro warm_start, or models.{self.role}.source"
        return None

    def exports(self, running: Running) -> dict[str, str]:
        return {self.variable: running.url}

    def _spawn(self, port: int) -> Running:
        from crl.engine.vllm.serve import command, servable

        config = load()
        shape = config.role(self.role).model
        source = self._base if self._scratch(config) else shape.source
        model = servable(source, (self.home / "models" / self.role).resolve(), dtype=shape.dtype)
        argv, environment = command(
            model, port=port, role=self.role, config=config.engine, model_config=shape, device=config.run.device
        )
        url = f"http://127.0.0.1:{port}"
        return spawn(
            self.name,
            argv,
            environment=environment,
            folder=self.home,
            url=url,
            health=self._unless_interrupted(lambda: http_ok(f"{url}/health")),
            wait_s=_STARTUP_S,
        )

    @property
    def _base(self) -> Path:
        return BASE / self.role

    def _scratch(self, config: Config) -> bool:
        return config.role(self.role).model.source == "scratch"


class VllmActor(_Vllm):
    name = role = "actor"
    port = 8000
    variable = "CRL_ACTOR_URLS"


class VllmExtractor(_Vllm):
    name = role = "extractor"
    port = 8001
    variable = "CRL_EXTRACTOR_URLS"
