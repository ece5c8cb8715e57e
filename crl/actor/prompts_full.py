"""The actor's prompts for pretrained instruct models. Roles, fields and formats: method 5.1-5.3, 8.3, 8.5."""

from crl.actor.actions import ASK_CLOSE, ASK_OPEN, BLANK
from crl.actor.prompts import ActorPrompts
from crl.envs.contract import Observation
from crl.models.chat import Message
from crl.replies.parsing import last_block, lenient_json
from crl.replies.refusals import Refused

_ROLE = """\
You are playing a game that is described to you in text. In every turn you read what you can observe now, think about
what it shows and what it still hides, and choose one action that brings you closer to the goal."""

_REPLY = """\
How to reply
- Think first: where you are, what has changed since your last action, what you have tried already, what could harm you.
- Then give exactly one action, by its name, inside <answer> tags, as the last thing you write: <answer>ACTION</answer>
- A reply without a known action costs a turn and changes nothing."""

_REPLY_BY_RULES = """\
How to reply
- Think first, in a sentence or two: what you know now, what you have tried already, what to find out or to change next.
- Then give exactly one action, written as described above, as the last thing you write.
- A reply without such an action costs a turn and changes nothing."""

_EXPERIENCE = """\
Experience from earlier episodes
The text between the lines was distilled from earlier episodes of related tasks. It may be incomplete, or wrong here:
take from it what fits the things you observe, leave the rest, and trust your observations where the two disagree.
----------
{experience}
----------"""

_ASK_MANUAL = """\
Asking for help
When you are stuck you may search the collected experience and ask an expert, instead of acting: end your reply with
{open} your question {close}
The expert sees nothing but your question. So say in it what the situation is, what stands in the way, what you have
tried, and what you need to know. The answer comes in the next turn. You may ask {uses} in this episode, and asking
costs a turn."""

_INVALID = "That was no action that can be taken now; nothing has changed."

_GATE_SYSTEM = """\
You decide whether a piece of experience from earlier episodes is shown to an agent before it starts on a task. You are
that agent's own critical judgement: bad advice costs more than none.

Consider three things:
- Relevance: does the experience speak of situations like this one?
- Soundness: is it right, and general enough to hold here, or did it fit one past instance only?
- Need: how well does the agent do without further help? The average score so far tells.

Choose one:
- accept: it is relevant, sound and useful as it stands.
- refine: there is something useful in it, but it must be corrected, shortened or fitted to this task. You rewrite it.
  If you are in doubt between the three, choose this one.
- reject: it is wrong, irrelevant or misleading, or the agent already does well without it.

Think first. Then give one JSON object inside <answer> tags, in one of these forms; write line breaks in texts as \\n:
<answer>{"function_name": "accept"}</answer>
<answer>{"function_name": "refine", "parameters": {"refined_knowledge": "the rewritten text"}}</answer>
<answer>{"function_name": "reject"}</answer>"""

_GATE_USER = """\
The task as the agent will see it
----------
{situation}
----------

The experience
----------
{retrieved}
----------

Average score of the agent on this kind of task so far: {mean_success:.2f} over {episodes} episodes.

Think, then give your decision in <answer> tags."""


class FullActorPrompts(ActorPrompts):
    """The prompt set `full`."""

    min_chars = 31  # method 3.4

    def first(self, observation: Observation, experience: str | None, *, ask_uses: int) -> list[Message]:
        in_system = self.inject == "system"
        advice = _EXPERIENCE.format(experience=experience) if experience is not None else ""
        uses = "once" if ask_uses == 1 else f"{ask_uses} times"
        asking = _ASK_MANUAL.format(open=ASK_OPEN, close=ASK_CLOSE, uses=uses) if ask_uses else ""
        reply = _REPLY_BY_RULES if "{}" in observation.forms else _REPLY
        system = (_ROLE, observation.manual, reply, advice if in_system else "")
        user = ("" if in_system else advice, f"Goal: {observation.goal}", asking, _turn(observation))
        return [Message("system", _paragraphs(*system)), Message("user", _paragraphs(*user))]

    def following(self, observation: Observation, *, valid: bool = True) -> Message:
        return Message("user", _paragraphs("" if valid else _INVALID, _turn(observation)))

    def answered(self, answer: str, *, uses_left: int) -> Message:
        notice = "You can ask no more in this episode." if uses_left == 0 else f"Questions left: {uses_left}."
        text = f"Answer to your question\n{answer}\n\n{notice} Nothing has changed in the game. What do you do?"
        return Message("user", text)

    def naming(self, action: str) -> str:
        return f"<answer>{action}</answer>"

    def gate(self, situation: str, retrieved: str, mean_success: float, episodes: int) -> list[Message]:
        user = _GATE_USER.format(situation=situation, retrieved=retrieved, mean_success=mean_success, episodes=episodes)
        return [Message("system", _GATE_SYSTEM), Message("user", user)]

    def read_gate(self, text: str) -> tuple[str | None, str | None]:
        """One JSON object in the last <answer> block."""
        try:
            value = lenient_json(last_block(text) or "")
        except Refused:
            return None, None
        match value:
            case {"function_name": str(name), "parameters": {"refined_knowledge": str(refined)}}:
                return name.strip().lower(), refined.strip()
            case {"function_name": str(name)}:
                return name.strip().lower(), None
            case _:
                return None, None


def _turn(observation: Observation) -> str:
    names = (*observation.actions, *(form.replace("{}", BLANK) for form in observation.forms))
    # Where any text may be one, the manual tells how they are written: a name or two beside it would be all that is tried.
    actions = f"Actions: {', '.join(names)}" if names and "{}" not in observation.forms else ""
    return _paragraphs(f"Observation\n{observation.text}", actions, "What do you do?")


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(filter(None, parts))
