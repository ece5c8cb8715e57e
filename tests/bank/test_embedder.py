"""The default embedder is a real one: its own pooling, unit vectors, near meanings near, and reproducible alone."""

import numpy as np
import pytest
import torch
from transformers import Qwen2Config, Qwen2Model

from crl.embedding.open import load_embedder
from crl.errors import DataError
from crl.tiny.tokenizer import train_tokenizer

NEAR = ("The stairs down are in the north-east corner.", "You can go down at the top right corner of the room.")
FAR = "Quarterly revenue rose by four percent."


@pytest.fixture(scope="module")
def minilm():
    return load_embedder("minilm")


def test_similar_sentences_are_close_and_unrelated_ones_are_not(minilm):
    a, b, c = minilm.embed([*NEAR, FAR])
    assert a @ b > 0.45
    assert max(a @ c, b @ c) < 0.15
    np.testing.assert_allclose(np.linalg.norm([a, b, c], axis=1), 1, atol=1e-5)
    assert (minilm.dim, a.dtype) == (384, np.float32)


def test_the_published_similarities_of_the_model_come_out(minilm):
    """The example of the model's hub page (sentence-transformers/all-MiniLM-L6-v2): 0.695, 0.943, 0.257."""
    source, *others = minilm.embed(
        ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    )
    assert [float(source @ other) for other in others] == pytest.approx([0.695, 0.943, 0.257], abs=1e-3)


def test_a_text_embedded_alone_does_not_depend_on_its_batch_mates(minilm):
    texts = ["you see a wall", "you see a wall to the north and a door to the east", "x"]
    together = minilm.embed(texts, one_by_one=True)
    alone = np.concatenate([minilm.embed([text], one_by_one=True) for text in texts])
    assert together.tobytes() == alone.tobytes()
    np.testing.assert_allclose(minilm.embed(texts), alone, atol=1e-6)


def test_a_decoder_is_pooled_at_its_last_token(tmp_path):
    """As Qwen3-Embedding wants it; padding of a batch must not move the last token."""
    tokenizer = train_tokenizer(["go up and left", "take the key"] * 3, 400)
    torch.manual_seed(0)
    model = Qwen2Model(
        Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
        )
    ).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    texts = ["go up", "take the key and go up and left"]
    with torch.inference_mode():
        expected = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, -1] for text in texts]
    found = load_embedder(str(tmp_path)).embed(texts)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, (theirs / theirs.norm()).numpy(), atol=1e-5)


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"models\.embedder = .*Remedy: use 'minilm'"):
        load_embedder(str(tmp_path / "nothing"))
