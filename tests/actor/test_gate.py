import pytest
from hypothesis import given
from hypothesis import strategies as st

from crl.actor.gate import Gate, TaskRecord, parse_gate
from crl.engine.protocol import Sampling
from crl.replies.screening import TextLimits, screen
from crl.types import GateDecision
from tests.actor.conftest import prompts_of

LIMITS = TextLimits(4, 200)
RETRIEVED = "Walk along the wall until the stairs come into view."
REFINED = "In the dark, keep the wall at your left hand."
REFINE = f'<answer>{{"function_name": "refine", "parameters": {{"refined_knowledge": "{REFINED}"}}}}</answer>'


@pytest.mark.parametrize(
    ("style", "reply", "decision", "shown"),
    [
        ("full", '<think>ok</think><answer>{"function_name": "accept"}</answer>', GateDecision.ACCEPT, RETRIEVED),
        ("full", '<answer>{"function_name": "accept", "parameters": {}}</answer>', GateDecision.ACCEPT, RETRIEVED),
        ("full", '<answer>{"function_name": "reject"}</answer>', GateDecision.REJECT, None),
        ("full", REFINE, GateDecision.REFINE, REFINED),
        ("full", '<answer>{"function_name": "accept"}</answer>' + REFINE, GateDecision.REFINE, REFINED),
        ("full", '<answer>```json\n{"function_name": "accept",}\n```</answer>', GateDecision.ACCEPT, RETRIEVED),
        ("full", "accept", GateDecision.UNPARSABLE, None),
        ("full", "<answer>accept</answer>", GateDecision.UNPARSABLE, None),
        ("full", '<answer>[{"function_name": "accept"}]</answer>', GateDecision.UNPARSABLE, None),
        ("full", '<answer>{"function_name": "maybe"}</answer>', GateDecision.UNPARSABLE, None),
        ("full", '<answer>{"function_name": "refine"}</answer>', GateDecision.UNPARSABLE, None),
        ("full", REFINE.replace(REFINED, ""), GateDecision.UNPARSABLE, None),
        ("full", REFINE.replace(REFINED, "take it <|im_end|>"), GateDecision.UNPARSABLE, None),
        ("full", REFINE.replace(REFINED, "word " * 50), GateDecision.UNPARSABLE, None),
        ("brief", "Yes.\n", GateDecision.ACCEPT, RETRIEVED),
        ("brief", "No, it is about something else.", GateDecision.REJECT, None),
        ("brief", "**yes**", GateDecision.ACCEPT, RETRIEVED),
        ("brief", "The note is not useful for the task.", GateDecision.REJECT, None),
        ("brief", "The note is very helpful here", GateDecision.ACCEPT, RETRIEVED),
        ("brief", "The note tells where to go.", GateDecision.UNPARSABLE, None),
        ("brief", "Yesterday", GateDecision.UNPARSABLE, None),
        ("brief", "The note says: yes", GateDecision.UNPARSABLE, None),
        ("brief", "\n", GateDecision.UNPARSABLE, None),
        ("compact", "accept", GateDecision.ACCEPT, RETRIEVED),
        ("compact", " Reject. ", GateDecision.REJECT, None),
        ("compact", "accept it", GateDecision.ACCEPT, RETRIEVED),
        ("compact", f"refine {REFINED}\nmore", GateDecision.REFINE, REFINED),
        ("compact", "refine", GateDecision.UNPARSABLE, None),
        ("compact", "acceptable", GateDecision.UNPARSABLE, None),
        ("compact", "", GateDecision.UNPARSABLE, None),
    ],
)
def test_the_decision_settles_what_is_shown(style, reply, decision, shown):
    parsed = parse_gate(prompts_of(style, "system", 2), reply, LIMITS)
    assert parsed.decision is decision
    assert parsed.shown(RETRIEVED) == shown


@given(st.text(), st.sampled_from(["full", "compact", "brief"]))
def test_no_text_makes_the_gate_raise_or_show_what_the_bank_would_refuse(text, style):
    for reply in (text, f"yes {text}", f"refine {text}", REFINE.replace(REFINED, text)):
        parsed = parse_gate(prompts_of(style, "system", 2), reply, LIMITS)
        assert (parsed.refined is not None) == (parsed.decision is GateDecision.REFINE)
        assert parsed.refined is None or screen(parsed.refined, LIMITS) is None


def test_the_full_prompts_own_examples_are_what_the_parser_accepts():
    system = prompts_of("full", "system", 2).gate("task", RETRIEVED, 0.0, 0)[0].content
    examples = [line for line in system.splitlines() if line.startswith("<answer>")]
    assert [parse_gate(prompts_of("full", "system", 2), example, LIMITS).decision for example in examples] == [
        "accept",
        "refine",
        "reject",
    ]


@pytest.mark.parametrize(
    "piece", ["the rewritten text", "Relevance: does the experience speak of situations like this one?"]
)
async def test_a_refinement_in_the_prompts_own_words_shows_nothing(chat, answering, observation, piece):
    engine = answering(REFINE.replace(REFINED, piece))
    gate = Gate(prompts_of("full", "system", 2), "run", max_new_tokens=99, limits=LIMITS, records={})
    reply = await gate.decide(engine, chat, observation, RETRIEVED, task="maze", key="key", sampling=Sampling())
    assert (reply.decision, reply.refined) == (GateDecision.UNPARSABLE, None)


@pytest.mark.parametrize("style", ["full", "compact"])
async def test_the_gate_asks_once_in_its_own_session_about_task_experience_and_record(
    style, chat, answering, observation
):
    engine = answering(REFINE if style == "full" else f"refine {REFINED}")
    records = {"maze": TaskRecord(0.25, 40)}
    gate = Gate(prompts_of(style, "system", 2), "run", max_new_tokens=99, limits=LIMITS, records=records)
    sampling = Sampling(temperature=0.7, max_new_tokens=5, stop=("</search_and_ask>",), seed=11)
    reply = await gate.decide(engine, chat, observation, RETRIEVED, task="maze", key="r1.g0.e5/gate", sampling=sampling)
    assert reply.shown(RETRIEVED) == REFINED
    assert engine.keys == ["r1.g0.e5/gate"]
    assert engine.samplings == [Sampling(temperature=0.7, max_new_tokens=99, seed=11)]
    assert engine.open_sessions == 0
    for part in (observation.goal, observation.text, RETRIEVED, "0.2"):
        assert part in chat.prompts[0]


async def test_the_brief_gate_is_one_question_with_one_line_for_an_answer(chat, answering, observation):
    engine = answering("Yes")
    gate = Gate(prompts_of("brief", "system", 2), "run", 99, LIMITS, {"maze": TaskRecord(0.25, 40)})
    reply = await gate.decide(engine, chat, observation, RETRIEVED, task="maze", key="key", sampling=Sampling())
    assert (reply.decision, reply.shown(RETRIEVED)) == (GateDecision.ACCEPT, RETRIEVED)
    assert engine.samplings[0].stop == ("\n",)
    for part in (observation.goal, observation.text, RETRIEVED, "0.25 in 40"):
        assert part in chat.prompts[0]


async def test_a_prompt_too_long_for_the_gate_shows_nothing_and_loses_no_episode(chat, answering, observation):
    engine = answering("accept", room=20)
    gate = Gate(prompts_of("full", "system", 2), "run", max_new_tokens=99, limits=LIMITS, records={})
    reply = await gate.decide(engine, chat, observation, RETRIEVED, task="maze", key="key", sampling=Sampling())
    assert (reply.decision, reply.shown(RETRIEVED)) == (GateDecision.TOO_LONG, None)
    assert (engine.samplings, engine.open_sessions) == ([], 0)
