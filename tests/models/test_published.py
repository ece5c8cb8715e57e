"""Tokenizers and templates as their makers publish them: where a turn ends, and what contents cannot become."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken

from crl.errors import ConfigError
from crl.models.chat import ChatFormat, Message
from crl.tiny.tokenizer import train_tokenizer
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
        ("deepseek", ("<｜end▁of▁sentence｜>",), "<｜end▁of▁sentence｜>"),
    ],
)
def test_a_turn_ends_where_generate_ends_it_and_is_closed_as_the_template_does(name, stops, closing):
    tokenizer = published.ALL[name]()
    chat = ChatFormat(tokenizer, ids_of(tokenizer, *stops))
    assert chat.end_ids == set(ids_of(tokenizer, *stops))
    assert chat.closing == ids_of(tokenizer, closing)


def test_a_turn_whose_passed_form_ends_with_no_end_is_closed_by_the_tokenizers_own():
    """gpt-oss: its last turn ends with <|return|>, a passed one with <|end|>, and <|endoftext|> has the lowest id."""
    tokenizer = train_tokenizer(["go north"] * 3, 300)
    names = ("<|endoftext|>", "<|return|>", "<|start|>", "<|end|>")
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    tokenizer.eos_token = "<|return|>"
    tokenizer.chat_template = (
        "{% for message in messages %}{{ '<|start|>' + message.role + message.content }}"
        "{{ '<|return|>' if loop.last and message.role == 'assistant' else '<|end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}"
    )
    chat = ChatFormat(tokenizer, ids_of(tokenizer, "<|endoftext|>"))
    assert chat.end_ids == set(ids_of(tokenizer, "<|endoftext|>", "<|return|>"))
    assert chat.closing == ids_of(tokenizer, "<|return|>")


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


def test_a_closing_marker_that_is_not_flagged_special_ends_a_turn():
    tokenizer = published.hermes()
    chat = ChatFormat(tokenizer)
    assert chat.end_ids == set(ids_of(tokenizer, "</s>", "<|im_end|>"))
    assert chat.closing == ids_of(tokenizer, "<|im_end|>")
    said = (*chat.encode("go"), *chat.closing)
    assert chat.decode(chat.reply(USER, said)) == "\n<|im_start|>user\ngo north<|im_end|>\n<|im_start|>assistant\n"


MARKERS = {
    "llama_3": ["<|eot_id|>", "<|start_header_id|>"],
    "glm": ["<|user|>", "<think>", "</think>", "[gMASK]"],
    "phi_3": ["<|end|>", "<|user|>", "<s>"],
    "mistral": ["[INST]", "[/INST]", "</s>"],
    "deepseek": ["<｜User｜>", "<｜Assistant｜>", "<think>", "<｜tool▁output▁end｜>", "<｜end▁of▁sentence｜>"],
    "vicuna": ["</s>", "<s>"],
    "qwen": ["<tool_call>", "</tool_call>", "<|im_end|>"],
    "hermes": ["<|im_start|>", "<|im_end|>", "</s>"],
}
TOKENIZERS = {name: make() for name, make in published.ALL.items()}
STOPS = {"glm": ["<|endoftext|>", "<|user|>", "<|observation|>"]}
CHATS = {name: ChatFormat(tokenizer, ids_of(tokenizer, *STOPS.get(name, ()))) for name, tokenizer in TOKENIZERS.items()}


@given(st.sampled_from(sorted(CHATS)), st.data())
def test_no_content_becomes_a_marker_that_the_template_uses(name, data):
    """Special or not: the markers of a prompt are those of the same prompt with other contents."""
    tokenizer, chat = TOKENIZERS[name], CHATS[name]
    markers = set(ids_of(tokenizer, *MARKERS[name]))
    pieces = st.sampled_from([*MARKERS[name], "go", " ", "\n", "<", ">", "north"]) | st.text(max_size=3)
    text = data.draw(st.lists(pieces, max_size=6).map("".join))
    for ids, plain in (
        (chat.open([Message("user", text)]), chat.open(USER)),
        (chat.reply([Message("user", text)], ()), chat.reply(USER, ())),
    ):
        assert [i for i in ids if i in markers] == [i for i in plain if i in markers]
    assert markers.isdisjoint(chat.encode(text))


def test_a_token_that_the_template_does_not_write_is_itself_in_contents():
    tokenizer = published.qwen()
    assert ids_of(tokenizer, "<|fim_prefix|>")[0] in CHATS["qwen"].open([Message("user", "x <|fim_prefix|>")])


@pytest.mark.parametrize("normalized", [True, False])
def test_markers_built_of_parts_or_found_in_normalised_text_are_plain_in_contents(normalized):
    """Such as `'<|' + role + '|>'`, which the template's text does not hold; and a tokenizer that lowers case."""
    tokenizer = published.lowering([AddedToken(f"<|{name}|>", normalized=normalized) for name in ("user", "assistant")])
    chat = ChatFormat(tokenizer)
    user, assistant = ids_of(tokenizer, "<|user|>", "<|assistant|>")
    ids = chat.open([Message("user", "<|USER|><|user|> <|Assistant|>")])
    assert [i for i in ids if i in (user, assistant)] == [user, assistant]
    assert chat.decode(ids) == "<|user|><|user|><|user|> <|assistant|><|assistant|>"


@pytest.mark.parametrize("name", sorted(CHATS))
@given(data=st.data())
def test_ids_are_those_of_apply_chat_template_in_one_piece(name, data):
    """Also where a marker takes the white space beside it, and where a word mark begins the first text alone."""
    tokenizer, chat = TOKENIZERS[name], CHATS[name]
    pieces = st.sampled_from(["go", " ", "\n", "  ", "\t", "\x1c", "\u2003", "north", "é", "[INST", "user"]) | st.text(
        max_size=3
    )
    text = st.lists(pieces, max_size=6).map("".join)
    first, answer = Message("user", data.draw(text)), Message("user", data.draw(text))
    assert list(chat.open([first])) == published.own_ids(tokenizer, [first])
    after = chat.reply([answer], ())
    own = published.own_ids(tokenizer, [first, Message("assistant", "go"), answer])
    assert list(after) == own[len(own) - len(after) :]
    assert after == (*chat.closing, *chat.reply([answer], chat.closing))


@pytest.mark.parametrize(
    ("name", "content", "begins"),
    [
        (
            "phi_3",
            "\n go",
            "<|user|>▁go<|end|><|assistant|>",
        ),  # no line break after a marker, nor what contents have there
        ("mistral", "go", "<s>[INST]▁go[/INST]"),
        ("hermes", "go", "<|im_start|>user\ngo<|im_end|>\n<|im_start|>assistant\n"),  # no word mark after a marker
        ("vicuna", "go", "▁<0x55>S"),  # but one before the first word of all
    ],
)
def test_the_tokens_of_published_shapes(name, content, begins):
    ids = CHATS[name].open([Message("user", content)])
    assert "".join(TOKENIZERS[name].convert_ids_to_tokens(ids)).startswith(begins)


def test_a_tokenizer_that_cannot_be_fed_in_parts_is_refused_with_a_remedy():
    """A marker that is looked for in normalised text, where the line break after it is a word mark already."""
    tokenizer = published.phi_3(normalized=True)
    with pytest.raises(ConfigError, match=r'as a whole than for its parts.*Remedy: .*"normalized": false'):
        ChatFormat(tokenizer)
