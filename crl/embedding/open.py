"""The one way to open an embedder: by the parameters, or by its name."""

from crl.config import Config
from crl.config.addresses import addresses
from crl.config.choices import EMBEDDERS
from crl.embedding.protocol import Embedder
from crl.models.resolve import resolve_device


def open_embedder(config: Config, device: str | None = None) -> Embedder:
    """The embedder's servers where some are named (servers.embedder, CRL_EMBEDDER_URLS), else the model in this process.

    There it lies on `device`, by default `run.device`.
    """
    if urls := addresses(config.servers).embedder:
        from crl.embedding.served import ServerEmbedder

        return ServerEmbedder(urls, config.models.embedder, wait_s=config.engine.health_wait_s)
    return load_embedder(config.models.embedder, device or config.run.device)


def load_embedder(name: str, device: str = "cpu") -> Embedder:
    """`minilm` (bundled weights), a local folder, a hub name such as `Qwen/Qwen3-Embedding-0.6B`, or `module:Class`.

    The class is called with the device. Raises DataError when there is no such model, ConfigError for a device that is
    not there or a class that does not load.
    """
    device = resolve_device(device)
    if ":" in name:
        return EMBEDDERS.load(name, "models.embedder")(device)
    from crl.embedding.pretrained import PretrainedEmbedder

    return PretrainedEmbedder(name, device)
