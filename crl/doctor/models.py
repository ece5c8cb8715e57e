"""Models, and the secrets that open what they come from: a folder that holds one, or a hub name that resolves."""

import os
from collections.abc import Iterator
from pathlib import Path

from crl.config.addresses import SECRETS, secret
from crl.config.choices import EMBEDDERS
from crl.config.play import ModelConfig
from crl.doctor.finding import Finding, Situation
from crl.errors import ConfigError, DataError
from crl.models.context import check_named_context
from crl.models.shelf import located

_FILES = ("config.json", "tokenizer.json")


def models(situation: Situation) -> Iterator[Finding]:
    chosen = situation.config.models
    for role in ("actor", "extractor"):
        model = situation.config.role(role).model
        yield _model(situation, f"models.{role}.source", model.source)
        yield from _context(situation, role, model)
    served = situation.config.servers.embedder or situation.environment.get("CRL_EMBEDDER_URLS")
    if served or chosen.embedder == "minilm":
        return  # a server embeds, or what comes in a wheel: one of the packages
    if ":" in chosen.embedder:
        EMBEDDERS.load(chosen.embedder, "models.embedder")
        yield Finding("ok", f"models.embedder = {chosen.embedder}")
    else:
        yield _model(situation, "models.embedder", chosen.embedder)


def credentials(situation: Situation) -> Iterator[Finding]:
    """Which secrets are set; never their values. Raises ConfigError for a file that cannot be read."""
    found = []
    for name in SECRETS:
        if secret(name, situation.environment):
            found.append(f"CRL_{name}")
        elif f"CRL_{name}_FILE" in situation.environment:
            file = situation.environment[f"CRL_{name}_FILE"]
            yield Finding("fail", f"CRL_{name}_FILE = {file!r} is empty", "a secret", "write it there")
    yield Finding("ok", f"set: {', '.join(found)}" if found else "none is set")


def _model(situation: Situation, field: str, source: str) -> Finding:
    if source == "scratch":
        return Finding("ok", f"{field}: made by the warm start")
    try:
        folder = situation.folder / located(source, situation.folder)
    except DataError as error:
        return Finding.refused(error, "a model")
    if folder.is_dir():
        missing = [name for name in _FILES if not (folder / name).is_file()]
        if not any(folder.glob("*.safetensors")):
            missing.append("model.safetensors")
        if missing:
            remedy = "copy the whole model there, in Hugging Face's format"
            return Finding("fail", f"{field} = {source}: {', '.join(missing)} missing", "a model", remedy)
        return Finding("ok", f"{field} = {source}")
    if len(Path(source).parts) != 2 or source.startswith((".", "/")):
        remedy = "name a folder that is here, or owner/model"
        return Finding("fail", f"{field} = {source!r}: no such folder, nor a hub name", "a model", remedy)
    return _on_hub(situation, field, source)


def _context(situation: Situation, role: str, model: ModelConfig) -> Iterator[Finding]:
    """Whether the model has so many positions, as far as its config.json is here."""
    try:
        check_named_context(role, model.source, model.context_tokens, situation.folder)
    except ConfigError as error:
        yield Finding.refused(error, "no text past its positions")


def _on_hub(situation: Situation, field: str, name: str) -> Finding:
    """In the hub's cache, or known to the hub. Nothing is downloaded."""
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    if isinstance(try_to_load_from_cache(name, "config.json"), str):
        return Finding("ok", f"{field} = {name}, cached")
    remedy = "copy the model here and give its folder, or reach the hub (HF_ENDPOINT, proxy)"
    if situation.environment.get("HF_HUB_OFFLINE", os.environ.get("HF_HUB_OFFLINE")) == "1":
        return Finding("fail", f"{field} = {name}: not cached, and HF_HUB_OFFLINE=1", "a model", remedy)
    try:
        HfApi().model_info(name, timeout=situation.patience_s)
    except GatedRepoError:
        seen, remedy = f"{field} = {name}: the hub wants an account that was admitted", "set HF_TOKEN"
    except RepositoryNotFoundError:
        seen, remedy = f"{field} = {name}: the hub does not know it", "correct the name; set HF_TOKEN for a private one"
    except Exception as error:  # noqa: BLE001  its HTTP library's own errors: httpx or httpx2, by version
        seen = f"{field} = {name}: the hub does not answer ({type(error).__name__})"
    else:
        return Finding("ok", f"{field} = {name}, on the hub")
    return Finding("fail", seen, "a model", remedy)
