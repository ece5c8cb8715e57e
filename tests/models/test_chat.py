"""Conversations as ids: what comes out turn by turn is the template's own rendering, and nothing is smuggled in."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.actor.prompts_full import FullActorPrompts
from crl.envs.contract import Observation
from crl.errors import ConfigError
from crl.extractor.prompts_full import FullExtractorPrompts
from crl.models.chat import DATE, ChatFormat, Message, fix_date
from crl.models.resolve import load_tokenizer
from crl.tiny.tokenizer import train_tokenizer

# The shape of Qwen2.5's template: ChatML, a newline after each <|im_end|>, tool answers inside a user turn.
CHATML = """
{%- if messages[0]['role'] != 'system' -%}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
    {%- if message.role == 'tool' -%}
        {%- if loop.index0 == 0 or messages[loop.index0 - 1].role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' -}}
        {%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}{{- '<|im_end|>\\n' -}}{%- endif -%}
    {%- else -%}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
TRIMMING = """
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role + '\\n\\n' + message.content | trim + '<|im_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n\\n' -}}{%- endif -%}
"""
# The shape of Gemma's template: no system role, roles must alternate, contents are trimmed.
GEMMA = """
{%- if messages[0]['role'] == 'system' -%}{{ raise_exception('System role not supported') }}{%- endif -%}
{%- for message in messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
    {%- endif -%}
    {%- set role = 'model' if message['role'] == 'assistant' else message['role'] -%}
    {{- '<|im_start|>' + role + '\\n' + message['content'] | trim + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>model\\n' -}}{%- endif -%}
"""
# Leaves system text out without a word.
FORGETFUL = """
{%- for message in messages if message.role != 'system' -%}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
# How the date comes into the shapes of Llama 3.2, SmolLM3 and Granite, and gpt-oss (from a macro).
DATES = {
    "llama": (
        "{%- if not date_string is defined -%}{%- if strftime_now is defined -%}"
        "{%- set date_string = strftime_now('%d %b %Y') -%}{%- else -%}{%- set date_string = '26 Jul 2024' -%}"
        "{%- endif -%}{%- endif -%}{{- 'Today Date: ' + date_string -}}",
        "Today Date: 29 Feb 2024",
    ),
    "granite": ("{{- 'Today\\'s Date: ' + strftime_now('%B %d, %Y') -}}", "Today's Date: February 29, 2024"),
    "gpt-oss": (
        "{%- macro system() -%}{{- 'Current date: ' + strftime_now('%Y-%m-%d') -}}{%- endmacro -%}{{- system() -}}",
        "Current date: 2024-02-29",
    ),
}
# The end of Qwen3's template.
THINKING = CHATML.replace(
    "{{- '<|im_start|>assistant\\n' -}}",
    "{{- '<|im_start|>assistant\\n' -}}"
    "{%- if enable_thinking is defined and enable_thinking is false -%}{{- '<think>\\n\\n</think>\\n\\n' -}}{%- endif -%}",
)
# Of models that see: contents are lists of parts.
PARTS = """
{%- for message in messages -%}
    {{- '<|im_start|>' + message.role -}}
    {%- for part in message.content if part.type == 'text' -%}{{- part.text -}}{%- endfor -%}
    {{- '<|im_end|>' -}}
{%- endfor -%}
"""


def make_tokenizer(template: str | None):
    tokenizer = train_tokenizer(["go north", "system user assistant"] * 3, 300)
    if template is not None:
        tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]})
        tokenizer.eos_token = "<|im_end|>"
        tokenizer.chat_template = template
    return tokenizer


@pytest.fixture(scope="module", params=[None, CHATML, TRIMMING], ids=["compact", "chatml", "trimming"])
def tokenizer(request):
    return make_tokenizer(request.param)


@pytest.fixture(scope="module")
def chat(tokenizer):
    return ChatFormat(tokenizer)


# Contents as they may come from a model or an environment; the text of special tokens among them.
contents = st.lists(
    st.sampled_from(
        ["go", " north", "\n", " ", "<|im_end|>", "<|end|>", "<|im_start|>assistant\n", "<|user|>", "é☃", "@@"]
    )
    | st.text(max_size=5),
    max_size=6,
).map("".join)


def rendering(tokenizer, conversation: list[Message]) -> str:
    messages = [{"role": message.role, "content": message.content} for message in conversation]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


@given(
    system=st.none() | contents,
    first=contents,
    turns=st.lists(st.tuples(contents.filter(lambda text: text == text.strip()), st.booleans(), contents), max_size=3),
    role=st.sampled_from(["user", "tool"]),
)
def test_open_completion_reply_decode_to_the_templates_rendering(tokenizer, chat, system, first, turns, role):
    conversation = [Message("user", first)] if system is None else [Message("system", system), Message("user", first)]
    ids = list(chat.open(conversation))
    for generated, closed, answer in turns:
        said = tokenizer(generated, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        said += [tokenizer.eos_token_id] * closed
        new = [Message(role, answer)]
        ids += [*said, *chat.reply(new, said)]
        conversation += [Message("assistant", generated), *new]
    assert chat.decode(ids) == rendering(tokenizer, conversation)


@given(text=contents)
def test_contents_never_become_special_tokens(tokenizer, chat, text):
    specials = {index for index, token in tokenizer.added_tokens_decoder.items() if token.special}
    for plain, told in (
        (chat.open([Message("user", "x")]), chat.open([Message("user", text)])),
        (chat.reply([Message("tool", "x")], ()), chat.reply([Message("tool", text)], ())),
    ):
        assert [i for i in told if i in specials] == [i for i in plain if i in specials]


def test_a_vocabulary_that_knows_a_special_token_as_a_word_does_not_let_it_in():
    tokenizer = make_tokenizer(None)
    tokenizer.add_special_tokens({"extra_special_tokens": ["go"]})  # a word of the vocabulary becomes special
    chat = ChatFormat(tokenizer)
    special = tokenizer.convert_tokens_to_ids("go")
    assert special not in chat.open([Message("user", "go")])
    assert chat.decode(chat.open([Message("user", "go")])) == "<|user|>go<|end|><|assistant|>"


@given(text=st.text(alphabet="go north\n<>", max_size=20))
def test_ids_equal_the_tokenizers_own_where_nothing_special_is_written(tokenizer, chat, text):
    conversation = [Message("system", text), Message("user", text)]
    own = tokenizer(rendering(tokenizer, conversation), add_special_tokens=False)["input_ids"]
    assert list(chat.open(conversation)) == own


def test_several_new_messages_can_follow_one_turn(tokenizer, chat):
    conversation = [Message("user", "a"), Message("assistant", "b")]
    new = [Message("tool", "one"), Message("tool", "two"), Message("user", "three")]
    ids = [*chat.open(conversation[:1]), *tokenizer("b")["input_ids"], *chat.reply(new, ())]
    assert chat.decode(ids) == rendering(tokenizer, [*conversation, *new])


def test_the_turns_end_token_and_eos_end_a_turn(tokenizer, chat):
    assert chat.end_ids == {tokenizer.eos_token_id}


def test_an_end_token_other_than_eos_is_found_in_the_template():
    tokenizer = make_tokenizer(CHATML)
    tokenizer.eos_token = "<|end|>"
    expected = {tokenizer.convert_tokens_to_ids("<|im_end|>"), tokenizer.convert_tokens_to_ids("<|end|>")}
    assert ChatFormat(tokenizer).end_ids == expected


@pytest.mark.parametrize("template", [GEMMA, FORGETFUL], ids=["refused", "left out"])
@pytest.mark.parametrize("prompts", ["actor", "gate", "merge", "ask"])
def test_without_a_system_role_system_text_leads_the_first_user_message(template, prompts):
    actor, extractor = FullActorPrompts("system", 2), FullExtractorPrompts()
    messages = {
        "actor": lambda: actor.opening(Observation("you see a door", "go out", ("north",)), "doors open north"),
        "gate": lambda: actor.gate("a door", "doors open north", 0.5, 8),
        "merge": lambda: extractor.merge("a task", ["one", "two"]),
        "ask": lambda: extractor.ask("which way?", "doors open north"),
    }[prompts]()
    assert [message.role for message in messages] == ["system", "user"]
    tokenizer = make_tokenizer(template)
    joined = [Message("user", messages[0].content + "\n\n" + messages[1].content)]
    chat = ChatFormat(tokenizer)
    assert not chat.has_system_role
    assert chat.decode(chat.open(messages)) == rendering(tokenizer, joined)
    assert chat.open(messages[1:]) == chat.open([Message("user", messages[1].content)])


def test_a_template_that_refuses_a_role_is_a_config_error_with_a_remedy():
    chat = ChatFormat(make_tokenizer(GEMMA))
    with pytest.raises(ConfigError, match=r"must alternate.*\. Remedy: .*chat_template\.jinja"):
        chat.reply([Message("user", "x"), Message("user", "y")], ())


def test_a_template_that_shows_no_plain_text_is_a_config_error_with_a_remedy():
    with pytest.raises(ConfigError, match=r"no reply whose content is plain text\. Remedy: .*chat_template\.jinja"):
        ChatFormat(make_tokenizer(PARTS))


def test_a_template_that_drops_a_message_is_refused():
    tokenizer = make_tokenizer(CHATML)
    tokenizer.chat_template = "{%- for message in messages[-2:] -%}{{ message.content + '<|im_end|>' }}{%- endfor -%}"
    with pytest.raises(ConfigError, match="shown once and in order"):
        ChatFormat(tokenizer).open([Message("system", "x"), Message("user", "y"), Message("assistant", "z")])


@pytest.mark.parametrize("shape", DATES)
def test_a_template_tells_the_day_that_was_fixed_and_saving_keeps_it(shape, tmp_path):
    head, told = DATES[shape]
    tokenizer = make_tokenizer(CHATML)
    tokenizer.chat_template = head + CHATML
    conversation = [Message("system", "x"), Message("user", "y")]
    own = rendering(tokenizer, conversation)  # of today, if the day does not end just now
    assert ChatFormat(tokenizer).decode(ChatFormat(tokenizer).open(conversation)) == own
    fix_date(tokenizer)
    assert tokenizer.init_kwargs[DATE] in {date.today().isoformat(), (date.today() - timedelta(1)).isoformat()}
    tokenizer.init_kwargs[DATE] = "2024-02-29"  # as if it had been fixed then
    fix_date(tokenizer)
    for copy in ("base", "exported"):
        tokenizer.save_pretrained(tmp_path / copy)
        tokenizer = load_tokenizer(tmp_path / copy)
    chat = ChatFormat(tokenizer)
    assert chat.decode(chat.open(conversation)).startswith(told + "<|im_start|>system\nx")


def test_a_template_without_a_date_is_saved_without_one():
    tokenizer = make_tokenizer(CHATML)
    fix_date(tokenizer)
    assert DATE not in tokenizer.init_kwargs


def test_a_fixed_date_that_is_none_is_refused_with_a_remedy():
    tokenizer = make_tokenizer(CHATML)
    tokenizer.init_kwargs[DATE] = "29 Feb"
    with pytest.raises(ConfigError, match=r"template_date = '29 Feb': not a date\. Remedy: "):
        ChatFormat(tokenizer)


@pytest.mark.parametrize("arguments", [{}, {"enable_thinking": False}, {"enable_thinking": True}], ids=str)
def test_a_template_is_told_its_arguments_in_every_turn(arguments):
    tokenizer = make_tokenizer(THINKING)
    chat = ChatFormat(tokenizer, arguments=arguments)
    turns = [Message("user", "a"), Message("assistant", "b"), Message("user", "c")]
    for prompt in (chat.open(turns[:1]), chat.open(turns), chat.reply(turns[2:], ())):
        assert chat.decode(prompt).endswith("</think>\n\n") == (arguments.get("enable_thinking") is False)
    own = [{"role": message.role, "content": message.content} for message in turns]
    whole = tokenizer.apply_chat_template(own, tokenize=False, add_generation_prompt=True, **arguments)
    assert chat.decode(chat.open(turns)) == whole


@pytest.mark.parametrize(
    "name", ["enable_thinkin", "messages", "add_generation_prompt", "tools", "eos_token", "strftime_now"]
)
def test_an_argument_that_a_template_does_not_read_or_that_is_ours_is_refused_by_name(name):
    tokenizer = make_tokenizer(THINKING + "{#- tools eos_token strftime_now -#}")
    with pytest.raises(ConfigError, match=rf"template_arguments = \['{name}'\]: nothing that .* Remedy: "):
        ChatFormat(tokenizer, arguments={name: False})
