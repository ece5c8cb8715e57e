"""vLLM servers of the checkout's models: the actor's and the extractor's, as params.yaml describes them."""

from importlib.util import find_spec
from pathlib import Path

from crl.config import Config, load
from crl.errors import ConfigError
from flows.local.process import Launch
from flows.local.server import LocalServer
from flows.stage.paths import BASE

_STARTUP_S = 600.0  # 50 s on a quiet machine; large weights and compilation take minutes


class Vllm(LocalServer):
    """The server of one role's model: what the warm start made, or the named model."""

    def __init__(self, role: str, port: int, home: Path) -> None:
        self.name, self.port, self.variable = role, port, f"CRL_{role.upper()}_URLS"
        super().__init__(home)

    def lacking(self) -> str | None:
        if find_spec("vllm") is None:
            return "vLLM is not installed. Remedy: make cluster"
        try:
            source = self._source(load())
        except ConfigError as error:
            return str(error)
        if isinstance(source, Path) and not source.is_dir():
            return f"no model to serve: {source} is missing. Remedy: dvc repro warm_start, or models.{self.name}.source"
        return None

    def launch(self, port: int) -> Launch:
        from crl.engine.vllm.serve import command, servable

        config = load()
        shape, lora = config.role(self.name).model, config.role(self.name).learn.adapter
        model = servable(self._source(config), (self.home / "models" / self.name).resolve(), dtype=shape.dtype)
        argv, environment = command(
            model, port=port, role=self.name, config=config.engine, model_config=shape, device=config.run.device, lora=lora
        )  # fmt: skip
        return Launch(argv, environment, wait_s=_STARTUP_S)

    def _source(self, config: Config) -> Path | str:
        """The warm start's folder, or a model's name."""
        source = config.role(self.name).model.source
        return BASE / self.name if source == "scratch" else source
