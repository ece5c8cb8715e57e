"""Thoughts: what a reply says before they end counts for no reader, and one that never ends is no answer."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.actor.actions import parse_action, parse_ask, unread
from crl.actor.ask import read_answer
from crl.actor.gate import parse_gate
from crl.extractor.merge_reply import parse_merge
from crl.extractor.operations import parse_operations
from crl.models.chat import ChatFormat, Message
from crl.replies.screening import TextLimits
from crl.replies.thoughts import after_thoughts, opened_thought, reads_thoughts, whole_reply
from crl.tiny.tokenizer import train_tokenizer
from crl.types import Completion
from tests.actor.conftest import prompts_of

LIMITS = TextLimits(4, 200)
MARKS = [
    ("<think>", "</think>"),  # DeepSeek-R1, Qwen3, SmolLM3, GLM-4.5, Phi-4-reasoning, Hunyuan
    ("<THINK>", "</Think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),  # EXAONE Deep
    ("<reasoning>", "</reasoning>"),
    ("<scratchpad>", "</scratchpad>"),
    ('<think duration="3">', "</think >"),
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("<mm:think>", "</mm:think>"),  # MiniMax-M3
    ("<think:opensource>", "</think:opensource>"),  # Hy3
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi-VL
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A
    ("<|begin_of_thought|>", "<|end_of_thought|>"),  # OpenThinker
    ("<|channel>thought\n", "<channel|>"),  # Gemma 4
    ("<|open|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"),  # Kimi-K3
    ("<|think|>", "<|end|><|begin|>assistant<|content|>"),  # Solar-Open
    ("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    (" to=self<|message|>", "<|eom|><|start|>assistant to=user<|message|>"),  # muse
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),  # gpt-oss
]


def operations(text, form="tagged"):
    parsed = parse_operations(text, (), form=form, max_operations=3, limits=LIMITS)
    return parsed.items[0].text if parsed.items else None


def merged(text):
    parsed = parse_merge(text, form="tagged", max_items=2, limits=LIMITS)
    return parsed.items[0] if parsed.items else None


def gated(style):
    return lambda text: parse_gate(prompts_of(style, "system", 2), text, LIMITS).refined


def add(word):
    return json.dumps([{"function_name": "add", "parameters": {"new_memory": word}}])


def refine(word):
    return json.dumps({"function_name": "refine", "parameters": {"refined_knowledge": word}})


READERS = {  # name: what reads, how the word is said
    "action": (lambda text: parse_action(text, ("draft", "final")), "<answer>{}</answer>".format),
    "bare action": (lambda text: parse_action(text, ("draft", "final")), "{}".format),
    "form": (lambda text: parse_action(text, (), ("{}",)), "{}".format),
    "question": (parse_ask, "<search_and_ask>{}</search_and_ask>".format),
    "gate": (gated("full"), lambda word: f"<answer>{refine(word)}</answer>"),
    "compact gate": (gated("compact"), "refine {}".format),
    "operations": (operations, lambda word: f"<answer>{add(word)}</answer>"),
    "compact operations": (lambda text: operations(text, form="bare"), add),
    "sentence": (lambda text: operations(text, form="sentence"), "{}".format),
    "merge": (merged, "<answer><<<KNOWLEDGE_ITEM>>>{}<<<END_ITEM>>></answer>".format),
    "expert": (read_answer, "<answer>{}</answer>".format),
    "bare expert": (read_answer, "{}".format),
}
readers = pytest.mark.parametrize(("read", "say"), READERS.values(), ids=READERS)
marks = pytest.mark.parametrize(("opener", "closer"), MARKS)


@marks
@readers
def test_a_draft_in_a_thought_counts_for_no_reader(read, say, opener, closer):
    assert read(say("final")) == "final"
    assert read(f"{opener}Maybe {say('draft')}? Hm, no.{closer}{say('final')}") == "final"
    assert read(f"{opener}\n{say('draft')}\n{closer}") is None
    assert read(f"Maybe {say('draft')}? Hm, no.{closer}\n{say('final')}") == "final"  # the prompt opened the thought


@marks
@readers
def test_a_thought_that_never_ends_is_no_answer(read, say, opener, closer):
    assert read(f"{opener}Maybe {say('draft')} ... no") is None
    assert read(f"{opener}first{closer}{say('draft')}{opener}or rather not, since") is None


@pytest.mark.parametrize(
    ("heading", "final"),
    [
        ("Here are my reasoning steps:", "[BEGIN FINAL RESPONSE]"),  # Apriel
        ("Here is my thought process:", "Here is my response:"),  # Granite 3.2
    ],
)
@readers
def test_words_that_head_a_thought_end_one_and_open_none(read, say, heading, final):
    """Any model may begin so and go on to its answer; which of them cut off in a thought is not to be told from its words."""
    assert read(f"{heading}\nMaybe {say('draft')}? Hm, no.\n{final}\n{say('final')}") == "final"
    assert after_thoughts(said := f"{heading}\nThe door is left. {say('final')}") == said


@given(st.lists(st.tuples(st.sampled_from(MARKS), st.text("ab <>/\n")), max_size=3), st.text("ab <>/\n"))
def test_what_follows_the_last_thought_is_all_that_is_said(thoughts, said):
    text = "".join(f"{opener}{thought}{closer}" for (opener, closer), thought in thoughts)
    assert after_thoughts(text + said) == said
    for opener, _ in MARKS:
        assert after_thoughts(text + opener + said) is None


@given(st.text(st.characters(exclude_characters="<[◁")))
def test_a_text_without_marks_is_said_as_it_stands(text):
    assert after_thoughts(text) == text


def test_a_reply_in_which_nothing_was_read_reaches_no_environment_that_reads_free_text():
    call = "<function=submit></function>"
    assert unread(f"<think>{call}", ("{}",)) == unread(call, ("{}",)) == ""
    assert unread("<answer>fly</answer>") == "<answer>fly</answer>"
    assert unread("<think>north") == ""


def chat_that_begins_with(beginning):
    tokenizer = train_tokenizer(["go north", "system user assistant"] * 3, 300)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.chat_template = (
        "{%- for message in messages -%}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
        "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n" + beginning + "' }}{%- endif -%}"
    )
    return ChatFormat(tokenizer)


@pytest.mark.parametrize(
    ("beginning", "opened"),
    [
        ("", ""),
        ("<think>\\n", "<think>\n"),  # DeepSeek-R1's template, Qwen3-Thinking's
        ("<seed:think>", "<seed:think>"),
        ("Here are my reasoning steps:\\n", "Here are my reasoning steps:\n"),  # Apriel-1.6's
        ("<think>\\n\\n</think>\\n\\n", ""),  # Qwen3 with enable_thinking=False
    ],
)
def test_the_thought_that_a_template_opens_is_part_of_the_reply(beginning, opened):
    chat = chat_that_begins_with(beginning)
    first = chat.open([Message("user", "where? <think>")])
    later = chat.reply([Message("user", "and now? <think>\n")], ())
    assert opened_thought(first, chat) == opened_thought(later, chat) == opened
    ended = Completion("id", first, chat.encode("go north"), (0.0,), "go north", "length", 0)
    assert (after_thoughts(whole_reply(ended, chat)) is None) == bool(opened)


@pytest.mark.parametrize(
    ("assistant", "known"),
    [
        ("<mm:think>{{ message.reasoning_content }}</mm:think>{{ message.content }}", True),
        ("{% if enable_thinking %}[THINK]{{ message.thinking }}[/THINK]{% endif %}{{ message.content }}", True),
        ("<ponder>{{ message.reasoning }}</ponder>{{ message.content }}", False),
        ("<think>{{ message.reasoning }}{{ message.content }}", False),
        ("{{ message.content }}", None),
        ("{{ raise_exception('no') }}", None),
    ],
)
def test_a_template_whose_marks_are_unknown_is_found(assistant, known):
    """Else drafts in its model's thoughts would count, and nobody was told."""
    tokenizer = train_tokenizer(["go north"] * 3, 300)
    tokenizer.chat_template = (
        "{% for message in messages %}{% if message.role == 'assistant' %}" + assistant + "{% else %}"
        "{{ message.content }}{% endif %}{% endfor %}"
    )
    assert reads_thoughts(tokenizer, {}) is known
