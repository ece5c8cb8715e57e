"""Why a model's reply or text was refused: one closed vocabulary, counted in the metrics."""

from dataclasses import dataclass
from enum import StrEnum


class RefusalReason(StrEnum):
    # the reply
    NO_ANSWER = "no_answer"  # no <answer> block after the thoughts, or nothing in it
    TOO_LONG = "too_long"
    BAD_JSON = "bad_json"
    DUPLICATE_KEY = "duplicate_key"
    TOO_DEEP = "too_deep"
    WRONG_SHAPE = "wrong_shape"  # JSON, but not operations
    NO_OPERATIONS = "no_operations"
    TOO_MANY = "too_many"
    UNKNOWN_FUNCTION = "unknown_function"
    UNKNOWN_KEY = "unknown_key"
    MISSING_KEY = "missing_key"
    BAD_TARGET = "bad_target"  # no index, an index that was not shown, or one used twice
    BAD_BLOCKS = "bad_blocks"  # a merge reply with text outside its item blocks, or blocks left open
    # the experience text
    TEXT_TOO_SHORT = "text_too_short"
    TEXT_TOO_LONG = "text_too_long"
    TEXT_CONTROL = "text_control"  # control, invisible or undecodable characters
    TEXT_SPECIAL_TOKEN = "text_special_token"
    TEXT_MARKUP = "text_markup"  # our own tags and delimiters
    TEXT_ROLE = "text_role"  # a line that poses as a turn of the conversation
    TEXT_PLACEHOLDER = "text_placeholder"  # the prompt's own words instead of an experience
    # the prompt
    PROMPT_TOO_LONG = "prompt_too_long"  # does not fit the context: no call was made


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: RefusalReason
    detail: str = ""


class Refused(Exception):
    """Carries a refusal out of the depth of a parser; never leaves it."""

    def __init__(self, reason: RefusalReason, detail: str = "") -> None:
        super().__init__(reason)
        self.refusal = Refusal(reason, ascii(detail[:80])[1:-1])  # it ends up in logs and in the tracker
