"""One connection to Weaviate: a server, the load balancer of a cluster, or a server that this process starts (Embedded).

The client is pinned (requirements), so its start-up checks, which ask the package index for a newer one, are skipped.
"""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from crl.bank.weaviate import serve
from crl.config.addresses import WeaviateAddress, secret
from crl.config.servers import WeaviateConfig
from crl.errors import BankError, ConfigError, CrlError

try:
    import grpc
    import httpx
    import weaviate
    from weaviate.classes.init import AdditionalConfig, Auth, Timeout
    from weaviate.connect import ConnectionParams
    from weaviate.embedded import EmbeddedOptions
    from weaviate.exceptions import WeaviateBaseError
except ModuleNotFoundError as error:
    raise ConfigError(
        f"bank.index = 'weaviate' needs the package weaviate-client ({error}). Remedy: make cluster"
    ) from None

# What a lost or confused server raises. Everything else is a fault of ours and surfaces.
FAULTS = (WeaviateBaseError, httpx.HTTPError, grpc.RpcError, OSError, CrlError)
_CALLS = ("Search", "BatchObjects", "BatchDelete", "TenantsGet", "Aggregate")


def connect(address: WeaviateAddress | None, config: WeaviateConfig, folder: Path) -> weaviate.WeaviateClient:
    """A client that is connected; None starts Weaviate Embedded with its data under `folder`. Raises BankError."""
    timeout = Timeout(init=config.timeout_s, query=config.timeout_s, insert=config.timeout_s)
    settings = {"additional_config": AdditionalConfig(timeout=timeout), "skip_init_checks": True}
    if address is None:
        options = _embedded(folder)
        client = weaviate.WeaviateClient(embedded_options=options, **settings)  # starts it, and waits for its ports
        _await_ready(f"http://{options.hostname}:{options.port}{serve.READY_PATH}")
    else:
        key = secret("WEAVIATE_API_KEY")
        client = weaviate.WeaviateClient(
            ConnectionParams.from_params(
                http_host=address.host, http_port=address.port, http_secure=address.secure,
                grpc_host=address.host, grpc_port=address.grpc_port, grpc_secure=address.secure,
            ),
            auth_client_secret=Auth.api_key(key) if key else None,
            **settings,
        )  # fmt: skip
    with closed_on_fault(client, address):
        client.connect()
        _fail_fast(client)
    return client


@contextlib.contextmanager
def closed_on_fault(client: weaviate.WeaviateClient, address: WeaviateAddress | None) -> Iterator[None]:
    """Let go of a client that is of no use. Raises BankError where its server fails."""
    try:
        yield
    except CrlError:
        client.close()
        raise
    except FAULTS as error:
        client.close()
        where = "Weaviate Embedded" if address is None else f"Weaviate at {address.url}, gRPC port {address.grpc_port}"
        raise BankError(
            f"{where}: {one_line(error)}. Remedy: start it (`make servers`), set servers.weaviate or CRL_WEAVIATE_URL to "
            "its address, and CRL_WEAVIATE_API_KEY to its key where it wants one"
        ) from None


def _embedded(folder: Path) -> EmbeddedOptions:
    """With the local program where there is one; else the client downloads the same version."""
    programs = folder / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    tag = f"v{serve.VERSION}"
    expected = programs / f"weaviate-{tag}-{hashlib.sha256(tag.encode()).hexdigest()}"  # where the client looks
    try:
        found = serve.binary()
    except ConfigError:
        found = None
    if found is not None and (not expected.exists() or expected.resolve() != found):
        expected.unlink(missing_ok=True)
        expected.symlink_to(found)
    # The client would set CLUSTER_IN_LOCALHOST; with it and ports of our choice, one node waits for others for ever.
    environment = serve.environment(folder, log_level="error") | {"CLUSTER_IN_LOCALHOST": "false"}
    return EmbeddedOptions(
        persistence_data_path=environment["PERSISTENCE_DATA_PATH"], binary_path=str(programs), version=serve.VERSION,
        port=serve.free_port(), grpc_port=serve.free_port(), additional_env_vars=environment,
    )  # fmt: skip


def _await_ready(url: str) -> None:
    """Patiently: the client itself gives a loaded machine ten seconds. It tells who never gets ready."""
    deadline = time.monotonic() + serve.READY_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(url, trust_env=False, timeout=1.0).is_success:
                return
        time.sleep(0.2)


def _fail_fast(client: weaviate.WeaviateClient) -> None:
    """The client repeats calls to a server that is gone for up to a minute, with no setting to change it.

    Such a call fails at once here: the projector and the nodes' readers have their own, patient tries.
    """
    stub = client._connection.grpc_stub
    for name in _CALLS:
        setattr(stub, name, _once(getattr(stub, name)))


def _once(call: Callable) -> Callable:
    def once(*arguments: object, **options: object) -> object:
        try:
            return call(*arguments, **options)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise BankError(f"Weaviate does not answer: {error.details()}") from None
            raise
        except ValueError as error:  # grpc's word for a channel that another thread has closed
            raise BankError(f"Weaviate does not answer: {error}") from None

    return once


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
