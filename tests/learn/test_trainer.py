"""The trainer: invariant to how a batch is cut, exact to resume, and honest about what it skips."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, CTRLConfig, CTRLLMHeadModel, Gemma2Config, Gemma2ForCausalLM

from crl.errors import ConfigError, DataError, RunStopped
from crl.learn.collate import Denominators, collate, rows_of
from crl.learn.objectives import SupervisedObjective
from crl.learn.objectives.cispo import CispoObjective
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.scoring import TokenScorer, Ways, ways_of
from crl.learn.trainer import Trainer
from tests.learn.samples import VOCAB, adam, random_batch, tiny_model

OBJECTIVES = [GrpoObjective(), GrpoObjective(aggregation="token"), CispoObjective(), SupervisedObjective()]


def trainer(objective=None, model=None, **changes) -> Trainer:
    return Trainer(model or tiny_model(), adam(**changes), objective or GrpoObjective(), device="cpu")


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_micro_batch_size_changes_neither_loss_nor_gradient(objective):
    batch = random_batch(12)
    results = [trainer(objective, micro_batch_tokens=tokens).update(batch) for tokens in (64, 200, 100_000)]
    for result in results[1:]:
        assert result["loss"] == pytest.approx(results[0]["loss"], abs=1e-6)
        assert result["grad_norm"] == pytest.approx(results[0]["grad_norm"], rel=1e-5)


@given(st.permutations(range(6)))
@settings(max_examples=8, deadline=None)
def test_the_order_of_sequences_does_not_matter_within_one_step(order):
    batch = random_batch(6)
    straight, shuffled = trainer().update(batch), trainer().update([batch[i] for i in order])
    assert shuffled["loss"] == pytest.approx(straight["loss"], abs=1e-6)
    assert shuffled["grad_norm"] == pytest.approx(straight["grad_norm"], rel=1e-5)


def scored(scorer: TokenScorer, batch) -> torch.Tensor:
    """Log-probs of the trainable tokens, [M]."""
    micro = collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))
    return scorer(micro.input_ids, micro.rows, micro.targets, micro.temperatures)[0]


def test_what_stands_in_the_padding_is_irrelevant():
    batch = random_batch(5)
    micro = collate(rows_of(batch), Denominators.of(batch), "sequence", device=torch.device("cpu"))
    scorer = TokenScorer(tiny_model())
    noisy = micro.input_ids.clone()
    for b, item in enumerate(batch):
        last = max(i for i, trainable in enumerate(item.sequence.loss_mask) if trainable)
        noisy[b, last:] = VOCAB - 1
    assert not torch.equal(noisy, micro.input_ids)
    clean, other = (scorer(ids, micro.rows, micro.targets, micro.temperatures)[0] for ids in (micro.input_ids, noisy))
    assert torch.equal(clean, other)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_logprobs_are_those_of_the_models_own_forward_pass(temperature):
    batch, model = random_batch(5, temperature=temperature), tiny_model()
    expected = []
    for item in batch:
        ids = torch.tensor([item.sequence.input_ids])
        logprobs = torch.log_softmax(model(ids).logits[0] / temperature, -1)
        positions = [i for i, trainable in enumerate(item.sequence.loss_mask) if trainable]
        expected += [logprobs[i - 1, item.sequence.input_ids[i]] for i in positions]
    assert torch.allclose(scored(TokenScorer(model), batch), torch.stack(expected), atol=1e-5)


@pytest.mark.parametrize("variant", ["whole_tail", "whole_logits", "chunked"])
def test_the_short_cuts_change_neither_logprobs_nor_gradients(variant, monkeypatch):
    batch, model = random_batch(5), tiny_model()
    ways = ways_of(model)
    assert ways == Ways(head_is_plain=True, sparse_tail=True)
    if variant == "whole_tail":
        ways = replace(ways, sparse_tail=False)
    elif variant == "whole_logits":
        ways = replace(ways, head_is_plain=False)
    fast, slow = TokenScorer(copy.deepcopy(model)), TokenScorer(copy.deepcopy(model), ways)
    left = scored(fast, batch)
    if variant == "chunked":
        monkeypatch.setattr("crl.learn.scoring.LOGITS_PER_CHUNK", 7 * VOCAB)
    right = scored(slow, batch)
    assert torch.allclose(left, right, atol=1e-6)
    left.sum().backward()
    right.sum().backward()
    for one, other in zip(fast.parameters(), slow.parameters(), strict=True):
        assert torch.allclose(one.grad, other.grad, atol=1e-5)


def test_gradient_checkpointing_gives_the_same_gradient():
    kept, results = [], []
    for checkpointing in (False, True):
        learner, tensors = trainer(checkpointing=checkpointing), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, seen=tensors: seen.append(t) or t, lambda t: t):
            results.append(learner.update(random_batch(6)))
        kept.append(len(tensors))
    assert results[1]["grad_norm"] == pytest.approx(results[0]["grad_norm"], rel=1e-5)
    assert kept[1] < kept[0] / 2


def test_checkpointing_a_model_that_cannot_is_refused():
    model = CTRLLMHeadModel(CTRLConfig(vocab_size=VOCAB, n_embd=16, dff=32, n_layer=1, n_head=2))
    with pytest.raises(ConfigError, match=r"CTRLLMHeadModel cannot recompute its layers.*Remedy"):
        trainer(model=model, checkpointing=True)


def test_a_model_that_caps_its_logits_is_scored_with_the_cap():
    config = Gemma2Config(
        vocab_size=VOCAB,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=0.1,
        initializer_range=0.5,
        attn_implementation="eager",
    )
    model, batch = Gemma2ForCausalLM(config).eval(), random_batch(1)
    ids = torch.tensor([batch[0].sequence.input_ids])
    logprobs = torch.log_softmax(model(ids).logits[0, :-1], -1).gather(-1, ids[0, 1:, None]).squeeze(-1)
    expected = logprobs[torch.tensor(batch[0].sequence.loss_mask[1:], dtype=torch.bool)]
    assert torch.allclose(scored(TokenScorer(model), batch), expected, atol=1e-5)


def test_sequences_without_advantage_count_in_the_mean_but_cost_no_pass():
    batch = random_batch(8)
    flat = [replace(item, weight=0.0) if k % 2 else item for k, item in enumerate(batch)]
    result = trainer().update(flat)
    halved = trainer().update(flat[::2])
    assert result["loss"] == pytest.approx(halved["loss"] / 2, abs=1e-6)
    assert result["grad_norm"] == pytest.approx(halved["grad_norm"] / 2, rel=1e-5)
    assert result["trained_tokens"] == sum(item.sequence.trainable_tokens for item in flat[::2])


def test_a_batch_without_any_advantage_leaves_weights_and_optimiser_untouched():
    learner = trainer()
    learner.update(random_batch(4))
    before = learner.state_dict()
    result = learner.update([replace(item, weight=0.0) for item in random_batch(4)])
    assert result == {"optimizer_steps": 0.0}
    assert_same(learner.state_dict().weights, before.weights)
    assert_same(learner.state_dict().optimizer, before.optimizer)


def test_two_steps_split_the_batch_and_the_second_sees_ratios_off_one():
    batch = random_batch(8)
    result = trainer().update(batch, steps=2)
    one_by_one = trainer()
    for part in (batch[::2], batch[1::2]):
        one_by_one.update(part)
    assert result["optimizer_steps"] == 2.0
    learner = trainer()
    learner.update(batch, steps=2)
    assert_same(learner.weights(), one_by_one.weights())


def test_training_on_its_own_samples_starts_at_ratio_one():
    batch, learner = random_batch(4), trainer()
    logprobs = iter(scored(TokenScorer(tiny_model()), batch).tolist())
    own = [
        replace(
            item,
            sequence=replace(
                item.sequence, old_logprobs=tuple(next(logprobs) if m else 0.0 for m in item.sequence.loss_mask)
            ),
        )
        for item in batch
    ]
    result = learner.update(own)
    assert result["ratio_mean"] == pytest.approx(1.0, abs=1e-5)
    assert result["ratio_max"] == pytest.approx(1.0, abs=1e-4)
    assert result["clip_fraction"] == 0.0
    assert result["kl_k1"] == pytest.approx(0.0, abs=1e-5)


def test_supervised_training_learns_its_sequences():
    learner, batch = trainer(SupervisedObjective()), [replace(item, weight=1.0) for item in random_batch(4)]
    losses = [learner.update(batch)["loss"] for _ in range(30)]
    assert losses[-1] < 0.3 * losses[0]


def test_the_learning_rate_can_be_scaled_for_one_update():
    still, moving = trainer(), trainer()
    batch, before = random_batch(4), trainer().weights()
    still.update(batch, lr_scale=0.0)
    moving.update(batch, lr_scale=1.0)
    assert_same(still.weights(), before)
    assert any(not torch.equal(moving.weights()[name], before[name]) for name in before)


def test_same_inputs_give_the_same_bytes():
    runs = [trainer(), trainer()]
    for run in runs:
        for seed in range(3):
            run.update(random_batch(6, seed))
    assert_same(runs[0].weights(), runs[1].weights())


@pytest.mark.parametrize("tied", [True, False])
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, tied):
    whole = trainer(model=tiny_model(tied=tied))
    interrupted = trainer(model=tiny_model(tied=tied))
    for seed in range(2):
        whole.update(random_batch(6, seed))
        interrupted.update(random_batch(6, seed))
    interrupted.save(tmp_path / "trainer")
    resumed = trainer(model=tiny_model(seed=99, tied=tied))
    resumed.load(tmp_path / "trainer")
    metrics = [each.update(random_batch(6, 2)) for each in (whole, resumed)]
    assert metrics[0] == metrics[1]
    assert_same(whole.weights(), resumed.weights())
    assert_same(whole.state_dict().optimizer, resumed.state_dict().optimizer)
    assert whole.counters == resumed.counters


def test_a_saved_folder_is_a_hugging_face_model_without_pickles(tmp_path):
    learner = trainer()
    learner.update(random_batch(4))
    learner.save(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert_same(loaded.state_dict(), learner.weights())
    assert {file.suffix for file in tmp_path.iterdir()} == {".safetensors", ".json"}
    assert json.loads((tmp_path / "trainer.json").read_text())["optimizer_steps"] == 1


def test_the_state_of_another_model_is_refused(tmp_path):
    trainer(model=tiny_model(tied=False)).save(tmp_path)
    with pytest.raises(DataError, match="lm_head"):
        trainer(model=tiny_model(tied=True)).load(tmp_path)


def test_a_folder_without_a_state_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no trainer.json.*Remedy"):
        trainer().load(tmp_path)


def test_weights_are_a_copy_that_later_updates_leave_alone():
    learner = trainer()
    held = learner.weights()
    before = {name: tensor.clone() for name, tensor in held.items()}
    learner.update(random_batch(4))
    assert_same(held, before)


def test_bfloat16_arithmetic_keeps_float32_weights():
    learner = Trainer(tiny_model(), adam(), GrpoObjective(), device="cpu", dtype="bfloat16")
    learner.update(random_batch(4))
    assert {tensor.dtype for tensor in learner.state_dict().weights.values()} == {torch.float32}
    assert {tensor.dtype for tensor in learner.weights().values()} == {torch.bfloat16}


def test_broken_logprobs_stop_the_run_and_leave_the_weights_alone():
    learner, batch = trainer(), random_batch(2)
    sequence = batch[0].sequence
    broken = tuple(float("nan") if m else 0.0 for m in sequence.loss_mask)
    before = learner.weights()
    with pytest.raises(RunStopped, match="gradient norm = nan"):
        learner.update([replace(batch[0], sequence=replace(sequence, old_logprobs=broken)), batch[1]])
    assert_same(learner.weights(), before)


def test_a_kl_term_without_a_reference_is_refused():
    with pytest.raises(ConfigError, match=r"kl_coef = 0\.1 needs a reference"):
        trainer(GrpoObjective(kl_coef=0.1))


def test_a_kl_term_also_trains_sequences_without_advantage():
    learner = Trainer(
        tiny_model(), adam(), GrpoObjective(kl_coef=0.1), reference_model=tiny_model(seed=1), device="cpu"
    )
    result = learner.update([replace(item, weight=0.0) for item in random_batch(4)])
    assert result["reference_kl"] > 0
    assert result["grad_norm"] > 0
