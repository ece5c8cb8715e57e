"""Architectures whose parts are called like Llama's and do something else: they learn like any other."""

from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedModel

from benchmarks.models import build, whole_forward
from crl.errors import ConfigError
from crl.learn.collate import Denominators, collate, rows_of
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.scoring import TokenScorer, ways_of
from crl.learn.sequences import WeightedSequence
from crl.learn.trainer import Trainer
from tests.learn.samples import adam, random_batch

TUPLES, OWN_DECODER, OTHER_DECODER = "gpt_oss", "llama4_text", "modernbert-decoder"
# Rates kept as floats, layers left out at random (opt, xglm), a router's inputs jittered (phimoe).
NOISY = ("biogpt", "bloom", "falcon", "gpt_bigcode", "opt", "phimoe", "seed_oss", "starcoder2", "xglm")


def on_policy(model: PreTrainedModel) -> list[WeightedSequence]:
    """A batch whose log-probs are those of whole forwards of `model` as it is."""
    batch = []
    for item in random_batch(4):
        logprobs = iter(whole_forward(model, item.sequence).tolist())
        own = tuple(next(logprobs) if trained else 0.0 for trained in item.sequence.loss_mask)
        batch.append(replace(item, sequence=replace(item.sequence, old_logprobs=own)))
    return batch


def learn(name: str, **changes: float) -> tuple[dict[str, float], bool]:
    """One update on unchanged weights: its metrics, and whether weights moved."""
    model = build(name)
    learner, before = Trainer(model, adam(**changes), GrpoObjective(), device="cpu"), build(name).state_dict()
    metrics = learner.update(on_policy(build(name)))
    return metrics, any(not torch.equal(tensor, before[key]) for key, tensor in learner.weights().items())


@pytest.mark.parametrize("name", ["llama", TUPLES, OWN_DECODER, OTHER_DECODER])
def test_a_model_learns_whatever_its_blocks_return_and_whatever_its_decoder_is(name: str) -> None:
    metrics, moved = learn(name)
    assert metrics["ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert metrics["grad_norm"] > 0
    assert moved


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", NOISY)
def test_the_ratio_is_one_on_unchanged_weights_whatever_is_noisy_in_training(name: str, checkpointing: bool) -> None:
    metrics, _ = learn(name, checkpointing=checkpointing)
    assert metrics["ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert metrics["ratio_mean"] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("name", ["bert", "xlnet"])
def test_a_model_that_looks_ahead_is_refused_before_it_learns(name: str) -> None:
    with pytest.raises(ConfigError, match=r"LMHeadModel is not causal: .*Remedy: a decoder"):
        Trainer(build(name), adam(), GrpoObjective(), device="cpu")


@pytest.mark.parametrize(("name", "short"), [("llama", True), (TUPLES, False), (OWN_DECODER, False)])
def test_the_short_cut_is_taken_where_it_fits(name: str, short: bool) -> None:
    assert ways_of(build(name)).sparse_tail is short
    assert not ways_of(build(name), recomputes=True).sparse_tail


def test_a_block_of_the_same_names_that_does_something_else_takes_the_plain_way() -> None:
    """The feed-forward part here looks at the position before, too."""
    model, batch = build("llama"), random_batch(3)
    mlp = model.model.layers[-1].mlp
    alone = mlp.forward
    mlp.forward = lambda hidden: alone(hidden) + torch.nn.functional.pad(hidden, (0, 0, 1, 0))[:, :-1]
    micro = collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))
    scorer = TokenScorer(model)
    assert not ways_of(model).sparse_tail
    logprobs, _ = scorer(micro.input_ids, micro.rows, micro.targets, micro.temperatures)
    logits = model(input_ids=micro.input_ids, use_cache=False).logits.flatten(0, 1)[micro.rows]
    expected = logits.log_softmax(-1).gather(-1, micro.targets[:, None]).squeeze(-1)
    assert torch.allclose(logprobs, expected, atol=1e-5)
