"""The Docker engine and the image of SWE tasks' containers."""

from collections.abc import Iterator

from crl.doctor.registry import Finding, Situation, check


@check("sandbox", needed=lambda situation: "swe" in situation.families)
def sandbox(situation: Situation) -> Iterator[Finding]:
    """Raises SandboxUnavailable, which names what is missing and the remedy."""
    from crl.sandbox.engine import DEFAULT_HOST, Engine
    from crl.sandbox.images import resolve_on

    host, image = situation.environment.get("DOCKER_HOST", DEFAULT_HOST), situation.config.envs.sandbox.image
    found = resolve_on(Engine(host), image)
    yield Finding("sandbox", "ok", f"{host}, {image} = {found.removeprefix('sha256:')[:12]}")
