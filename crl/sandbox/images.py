"""Images by what they are, not by what they are called."""

from functools import lru_cache

from crl.sandbox.archive import rewritten, strip_root
from crl.sandbox.engine import Engine, engine
from crl.sandbox.errors import SandboxUnavailable
from crl.sandbox.limits import OWNER_LABEL
from crl.sandbox.owner import owner_id


def resolve(docker: Engine, image: str) -> str:
    """The ID of an image that the engine holds: the digest of its contents, which a moved tag does not change."""
    api = docker.api  # first: it tells a missing package from a missing engine
    from docker.errors import ImageNotFound

    with docker.guard(f"image {image!r}", SandboxUnavailable):
        try:
            return api.inspect_image(image)["Id"]
        except ImageNotFound:
            raise SandboxUnavailable(
                f"image {image!r} is not on the Docker engine. Remedy: docker/swe-base/build.sh for the base image, "
                "`docker pull` for one of a registry"
            ) from None


def export_tree(image: str, path: str) -> bytes:
    """A tar archive of the contents of a folder of the image, such as /testbed. The last few are kept in memory."""
    docker = engine()
    return _export(docker, resolve(docker, image), path)


@lru_cache(maxsize=4)
def _export(docker: Engine, image_id: str, path: str) -> bytes:
    with docker.guard(f"folder {path!r} of image {image_id}"):
        # never started: only its files are read. With its owner's name, by which it is removed should this process be killed here.
        container = docker.api.create_container(
            image_id, command=["true"], network_disabled=True, use_config_proxy=False, labels={OWNER_LABEL: owner_id()}
        )
        try:
            chunks, _ = docker.api.get_archive(container["Id"], path)
            return rewritten(b"".join(chunks), strip_root)
        finally:
            docker.remove(container["Id"])
