"""Tokenizers and templates as their makers publish them: where a turn ends."""

import pytest

from crl.models.chat import ChatFormat, Message
from tests.models import published

USER = [Message("user", "go north")]


def ids_of(tokenizer, *tokens: str) -> tuple[int, ...]:
    return tuple(tokenizer.convert_tokens_to_ids(list(tokens)))


@pytest.mark.parametrize(
    ("name", "stops", "closing"),
    [
        ("llama_3", ("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>"), "<|eot_id|>"),
        ("glm", ("<|endoftext|>", "<|user|>", "<|observation|>"), "<|user|>"),
        ("phi_3", ("<|endoftext|>", "<|assistant|>", "<|end|>"), "<|end|>"),
        ("mistral", ("</s>",), "</s>"),
    ],
)
def test_a_turn_ends_where_generate_ends_it_and_is_closed_as_the_template_does(name, stops, closing):
    tokenizer = published.ALL[name]()
    chat = ChatFormat(tokenizer, ids_of(tokenizer, *stops))
    assert chat.end_ids == set(ids_of(tokenizer, *stops))
    assert chat.closing == ids_of(tokenizer, closing)


@pytest.mark.parametrize(
    ("name", "end", "follows"),
    [
        ("llama_3", "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"),
        ("llama_3", "<|end_of_text|>", "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"),
        ("llama_3", "north", "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"),
        ("glm", "<|user|>", "\nhi"),
        ("glm", "<|endoftext|>", "<|user|>\nhi"),
        ("glm", "<|observation|>", "<|user|>\nhi"),
    ],
)
def test_after_a_turn_comes_the_rest_of_what_the_template_puts_there(name, end, follows):
    tokenizer = published.ALL[name]()
    every = [index for index, token in tokenizer.added_tokens_decoder.items() if token.special]
    chat = ChatFormat(tokenizer, every)
    said = (*chat.encode("go"), *tokenizer(end, add_special_tokens=False)["input_ids"])
    answer = chat.decode(chat.reply([Message("user", "hi")], said))
    assert answer.startswith(follows)
    assert answer.removeprefix(follows) in (
        "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|assistant|>\n<think></think>\n",
    )  # fmt: skip
