"""Containers in which untrusted commands run: SWE tasks play and are graded in these. See docs/sandbox.md."""

from crl.sandbox.container import CommandResult, Sandbox
from crl.sandbox.errors import SandboxBroken, SandboxError, SandboxUnavailable
from crl.sandbox.images import export_tree
from crl.sandbox.pool import SandboxPool, shared_pool

__all__ = [
    "CommandResult",
    "Sandbox",
    "SandboxBroken",
    "SandboxError",
    "SandboxPool",
    "SandboxUnavailable",
    "export_tree",
    "shared_pool",
]
