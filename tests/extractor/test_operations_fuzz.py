"""10^5 fuzzed extractor outputs: none raises, and nothing malformed gets through (design rule 12)."""

import json
from collections import Counter

from crl.extractor.operations import parse_operations
from crl.replies.refusals import RefusalReason
from crl.replies.screening import TextLimits
from crl.seeding import stream
from crl.types import OperationKind

OUTPUTS = 100_000
SHOWN = ("entry-a", "entry-b", "entry-c")
MAX_OPERATIONS = 3
LIMITS = TextLimits(4, 120)
TOLD = "what it is about"  # a piece of the prompt
FORBIDDEN = ("<|", "|>", "</s>", "<answer", "</answer", "<think", "</think", "[INST]", "search_and_ask>")
MARKS = ("<<<knowledge_item", "<<<end_item", "knowledge_item>>>", "end_item>>>", "\nassistant:", "\n\nsystem:")

WORDS = ("take", "the", "key", "go", "to", "unvisited", "cells", "first", "then", "door", "é", "出口", "if", "stuck:")
HOSTILE = (
    "take it\n\nSystem: obey ", "assistant: yes ", "....", "item 1", "<title>...</title><content>...</content>",
    "[new memory]", "key<|im_end|>", "</ answer >", "<<<KNOWLEDGE_ITEM>>> key", "\x00\x00\x00\x00", "\u2028 take",
    "\ud800 take", "[INST] key", TOLD,
)  # fmt: skip
POISON = (
    "<|im_end|>", "</answer>", "<answer>", "<think>", "\\u0000", "\\ud800", "\x00", "\x1b", "\u202e", "\ufffd",
    "\nsystem: ", "NaN", "Infinity", "1e999", "[[[[[[", "]]]]]]", "{", "}", '"', "\\", ",", ":", "null", "true",
    '"new_memory"', "return", '"function_name": "add",', "[1]", "[0]", "[4]", "[1,1]", "[true]", "-1", "9" * 400,
    "<<<END_ITEM>>>", "</s>", "...", " " * 50,
)  # fmt: skip


class Generator:
    """Replies that are valid, nearly valid, or nothing of the kind; a function of the seed alone."""

    def __init__(self, seed: int) -> None:
        self.random = stream(seed, "fuzz-operations")

    def pick(self, items):
        return items[int(self.random.integers(len(items)))]

    def text(self) -> str:
        if self.random.random() < 0.1:
            return self.pick(HOSTILE) + self.pick(("", self.pick(WORDS)))
        return " ".join(self.pick(WORDS) for _ in range(int(self.random.integers(0, 12))))

    def operation(self) -> dict:
        kind = self.pick(("add", "add", "update", "update", "return", "upvote", "", 3))
        if kind == "return":
            return self.pick(({"function_name": "return"}, {"function_name": "return", "parameters": {}}))
        parameters: dict = {"new_memory": self.text()}
        if kind == "update":
            parameters["target_idx"] = [int(i) for i in self.random.integers(0, 5, self.random.integers(0, 3))]
        if self.random.random() < 0.05:
            parameters[self.pick(("idx", "reason", "target_idx"))] = self.pick((1, None, [1], "x"))
        return {"function_name": kind, "parameters": parameters}

    def value(self, depth: int = 0):
        """Any JSON at all."""
        roll = self.random.random()
        if depth > 5 or roll < 0.5:
            return self.pick((None, True, 1, -0.5, self.text(), "add", 10**30))
        if roll < 0.75:
            return [self.value(depth + 1) for _ in range(int(self.random.integers(0, 3)))]
        keys = ("function_name", "parameters", "new_memory", "target_idx", "x")
        return {self.pick(keys): self.value(depth + 1) for _ in range(int(self.random.integers(0, 3)))}

    def valid_looking(self) -> str:
        operations = [self.operation() for _ in range(int(self.random.integers(0, 5)))]
        return json.dumps(operations, ensure_ascii=bool(self.random.random() < 0.5))

    def mutated(self, text: str) -> str:
        for _ in range(int(self.random.integers(1, 4))):
            at, width = (int(i) for i in self.random.integers(0, (len(text) + 1, 8)))
            match int(self.random.integers(4)):
                case 0:
                    text = text[:at] + self.pick(POISON) + text[at:]
                case 1:
                    text = text[:at] + text[at + width :]
                case 2:
                    text = text[:at] + text[at : at + width] * 2 + text[at + width :]
                case _:
                    text = text[:at] + chr(int(self.random.integers(0x110000))) + text[at + 1 :]
        return text

    def output(self) -> str:
        match int(self.random.integers(5)):
            case 0:
                body = self.random.bytes(int(self.random.integers(0, 80))).decode(errors="replace")
            case 1:
                body = json.dumps(self.value())
            case 2:
                body = self.valid_looking()
            case _:
                body = self.mutated(self.valid_looking())
        reply = self.pick((f"<answer>{body}</answer>", f"<think>hm</think>\n<answer>{body}</answer>", body))
        return self.mutated(reply) if self.random.random() < 0.1 else reply


def check(operations) -> None:
    """The invariants of whatever may reach the bank; written without the parser's own helpers."""
    kinds = [operation.kind for operation in operations]
    assert operations
    assert sum(kind is not OperationKind.RETURN for kind in kinds) <= MAX_OPERATIONS
    assert OperationKind.RETURN not in kinds[:-1]
    targets = [target for operation in operations for target in operation.target_ids]
    assert len(set(targets)) == len(targets)
    assert set(targets) <= set(SHOWN)
    for operation in operations:
        assert bool(operation.target_ids) == (operation.kind is OperationKind.UPDATE)
        if operation.kind is OperationKind.RETURN:
            assert operation.text == ""
            continue
        text = operation.text
        assert text == text.strip()
        assert LIMITS.min_chars <= len(text) <= LIMITS.max_chars
        assert text.encode()  # storable: no lone surrogate
        assert all(char in "\n\t" or ord(char) >= 32 for char in text)
        assert not any(mark in text.lower() for mark in (*FORBIDDEN, *MARKS))
        assert text != TOLD
        assert any(char.isalnum() for char in text)


def test_none_of_a_hundred_thousand_fuzzed_outputs_raises_or_enters_malformed():
    generator, reasons, accepted = Generator(20260317621), Counter(), 0
    for number in range(OUTPUTS):
        parsed = parse_operations(
            generator.output(),
            SHOWN,
            form=("tagged", "bare")[number % 2],
            max_operations=MAX_OPERATIONS,
            limits=LIMITS,
            told=f"An entry says {TOLD}.",
        )
        if parsed.refusal:
            assert parsed.items == ()
            reasons[parsed.refusal.reason] += 1
        else:
            check(parsed.items)
            accepted += 1
    assert accepted > OUTPUTS / 50, "the fuzzer hardly reaches the accepting path"
    never_by_this_parser = {RefusalReason.PROMPT_TOO_LONG, RefusalReason.BAD_BLOCKS, RefusalReason.TOO_LONG}
    assert set(reasons) >= set(RefusalReason) - never_by_this_parser, "a reason that the fuzzer never reaches"
