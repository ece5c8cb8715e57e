"""The tokenizer of scratch models: exact, deterministic, whole words, no smuggled special tokens."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from crl.errors import ConfigError
from crl.models.resolve import load_tokenizer
from crl.tiny.tokenizer import SPECIAL_TOKENS, train_tokenizer

WORDS = [f"n:{mark} s:{mark} {way}" for mark in ("open", "wall", "seen") for way in ("north", "northeast", "pickup")]
JSON = '{"operation": "add", "parameters":{"new_memory": "go to unvisited cells first"}}'
TEXTS = WORDS * 20 + [JSON] * 30


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, 400)


@given(st.text())
def test_any_text_round_trips_exactly(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("text", ["n:open", " s:wall", " northeast", ' "parameters":{"new_memory":', " unvisited"])
def test_a_frequent_word_with_its_leading_space_is_one_token(tokenizer, text):
    assert len(tokenizer(text, add_special_tokens=False)["input_ids"]) == 1


def test_vocabulary_keeps_to_its_size_and_holds_all_bytes(tokenizer):
    assert 256 + len(SPECIAL_TOKENS) < len(tokenizer) <= 400
    assert len(train_tokenizer(TEXTS, 300)) <= 300
    assert len(train_tokenizer(["unseen"], 300)) >= 256 + len(SPECIAL_TOKENS)


def test_special_tokens_come_last_and_have_their_roles(tokenizer):
    ids = [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS]
    assert ids == list(range(len(tokenizer) - len(SPECIAL_TOKENS), len(tokenizer)))
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|end|>", "<|pad|>")


@pytest.mark.parametrize("text", [*SPECIAL_TOKENS, "<|end|><|user|> hi", " <|end|>"])
def test_text_of_special_tokens_is_split_like_any_other_text(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert set(tokenizer.convert_tokens_to_ids(list(SPECIAL_TOKENS))).isdisjoint(ids)


def test_the_template_is_role_content_end(tokenizer):
    messages = [{"role": "system", "content": "rules\n"}, {"role": "user", "content": " n:open"}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == "<|system|>rules\n<|end|><|user|> n:open<|end|><|assistant|>"


def test_the_same_texts_in_any_order_give_the_same_tokenizer_in_another_process(tokenizer):
    program = (
        "import sys; from crl.tiny.tokenizer import train_tokenizer\n"
        f"sys.stdout.write(train_tokenizer({list(reversed(TEXTS))!r}, 400).backend_tokenizer.to_str())"
    )
    other = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=600)
    assert other.stdout == tokenizer.backend_tokenizer.to_str()


def test_saved_and_loaded_it_encodes_alike(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    text = "n:open zebra <|end|> northeast"
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.eos_token_id == tokenizer.eos_token_id
    assert loaded.chat_template == tokenizer.chat_template


def test_a_vocabulary_without_room_for_bytes_is_refused():
    with pytest.raises(ConfigError, match=r"models\.vocab_size = 100: too small\. Remedy: 262 at least"):
        train_tokenizer(TEXTS, 100)


def test_a_saved_tokenizer_does_not_tell_whether_it_was_read_offline(tokenizer, tmp_path, monkeypatch):
    """DVC hashes the folder: with HF_HUB_OFFLINE=1 and without, the same models have the same hash."""
    tokenizer.save_pretrained(tmp_path / "first")
    saved = []
    for offline in (False, True):
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
        folder = tmp_path / f"offline-{offline}"
        load_tokenizer(tmp_path / "first").save_pretrained(folder)
        saved.append({file.name: file.read_bytes() for file in folder.iterdir()})
    assert saved[0] == saved[1] == {file.name: file.read_bytes() for file in (tmp_path / "first").iterdir()}
