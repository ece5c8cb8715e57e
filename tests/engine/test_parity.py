"""The engine's tokens and log-probs are those of the plain model, whatever is batched with what."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crl.engine.protocol import Sampling
from crl.engine.sampling import uniforms
from crl.lockstep import Turnstile

# Logits of the same context differ in the last float32 bits with the shape of the batch. A draw within this distance
# of a border of the cumulative distribution, or a greedy choice within it, may fall on either side.
TIE = 1e-4

turns = st.tuples(
    st.lists(st.integers(6, 280), min_size=1, max_size=12).map(tuple),
    st.builds(
        Sampling,
        temperature=st.sampled_from([0.0, 0.7, 1.0]),
        max_new_tokens=st.integers(1, 5),
        seed=st.integers(0, 2**63 - 1),
    ),
)
OPENING = tuple(range(100, 109))


@st.composite
def sessions(draw):
    """Some open as others do, for up to nine tokens."""
    plans = draw(st.lists(st.lists(turns, min_size=1, max_size=5), min_size=1, max_size=7))
    for plan in plans:
        new_ids, sampling = plan[0]
        plan[0] = OPENING[: draw(st.sampled_from([0, 3, 6, 9]))] + new_ids, sampling
    return {f"s{i}": plan for i, plan in enumerate(plans)}


many_examples = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_against_reference(plans, played, reference_logprobs):
    for key, plan in plans.items():
        for turn, (new_ids, sampling) in enumerate(plan):
            completion = played[key].completions[turn]
            assert completion.prompt_ids == new_ids
            assert 1 <= len(completion.token_ids) <= sampling.max_new_tokens
            before = played[key].ids_before(turn)
            logprobs_TV = reference_logprobs([*before, *completion.token_ids], sampling.temperature)
            for t, token in enumerate(completion.token_ids):
                row_V = logprobs_TV[len(before) + t - 1]
                assert completion.logprobs[t] == pytest.approx(row_V[token].item(), abs=1e-5)
                assert is_choice(row_V, token, sampling, t)


def is_choice(logprobs_V: torch.Tensor, token: int, sampling: Sampling, counter: int) -> bool:
    if sampling.temperature == 0:
        return logprobs_V[token] >= logprobs_V.max() - TIE
    u = uniforms([sampling.seed], [counter])[0]
    cumulative_V = logprobs_V.exp().cumsum(-1).numpy()
    return cumulative_V[token] > u - TIE and (token == 0 or cumulative_V[token - 1] <= u + TIE)


@many_examples
@given(plans=sessions(), slots=st.integers(1, 8), forward_tokens=st.sampled_from([4, 24, 4096]))
def test_lockstep_agrees_with_full_forwards_over_many_turns(
    make_engine, play, reference_logprobs, plans, slots, forward_tokens
):
    turnstile = Turnstile()
    engine = make_engine(turnstile, max_sessions=slots, forward_tokens=forward_tokens, shared_tokens=2)
    check_against_reference(plans, play(engine, turnstile, plans), reference_logprobs)


@many_examples
@given(
    plans=sessions(), slots=st.integers(1, 8), forward_tokens=st.sampled_from([4, 24, 4096]), shuffle=st.integers(1, 9)
)
def test_async_agrees_with_full_forwards_over_many_turns(
    make_engine, play, reference_logprobs, plans, slots, forward_tokens, shuffle
):
    engine = make_engine(None, max_sessions=slots, forward_tokens=forward_tokens, shared_tokens=2)
    check_against_reference(plans, play(engine, None, plans, shuffle), reference_logprobs)


def test_greedy_equals_transformers_generate(make_engine, make_model, play):
    prompts = [tuple(range(10 + i, 15 + 3 * i)) for i in range(4)]
    greedy = Sampling(temperature=0, max_new_tokens=20)
    turnstile = Turnstile()
    played = play(make_engine(turnstile), turnstile, {str(i): [(prompt, greedy)] for i, prompt in enumerate(prompts)})
    for i, prompt in enumerate(prompts):
        expected = make_model().generate(
            input_ids=torch.tensor([prompt]), do_sample=False, max_new_tokens=20, eos_token_id=None, pad_token_id=5
        )
        assert list(played[str(i)].completions[0].token_ids) == expected[0, len(prompt) :].tolist()


def test_a_request_gets_the_same_tokens_alone_and_in_a_crowd(make_engine, play):
    plans = {
        f"s{i:02d}": [(tuple(range(6 + i, 12 + 2 * i)), Sampling(max_new_tokens=8, seed=i)), ((7, 8), Sampling(seed=i))]
        for i in range(12)
    }
    together = Turnstile()
    crowd = play(make_engine(together, max_sessions=12), together, plans)
    for key, plan in plans.items():
        alone = Turnstile()
        single = play(make_engine(alone), alone, {key: plan})[key]
        for one, other in zip(single.completions, crowd[key].completions, strict=True):
            assert one.token_ids == other.token_ids
            assert np.allclose(one.logprobs, other.logprobs, atol=1e-5)


def test_grouped_query_models_and_eager_attention_agree_too(tokenizer, play):
    from transformers import LlamaConfig, LlamaForCausalLM

    from crl.engine.transformers import TransformersEngine

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(config).eval()
    turnstile = Turnstile()
    engine = TransformersEngine(model, tokenizer, end_ids=[], max_sessions=2, context_tokens=64, turnstile=turnstile)
    plans = {
        f"s{i}": [((9, 10 + i), Sampling(max_new_tokens=4, seed=i)), ((11,) * (1 + i), Sampling(seed=i))]
        for i in range(3)
    }

    @torch.inference_mode()
    def reference(ids, temperature):
        return model(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(-1)

    check_against_reference(plans, play(engine, turnstile, plans), reference)
