"""Our losses and gradients against TRL 1.16.0's on frozen batches, through both whole stacks.

Matched settings. TRL's `loss_type="grpo"` is our sequence aggregation; `"bnpo"` is the plain token mean,
our token aggregation. TRL's CISPO caps the ratio at an absolute `epsilon_high` and has no floor, so our
1 + clip_high is its epsilon_high and our floor is put at 0 (clip_low = 1); it divides by the batch's
trainable tokens, our token aggregation. Importance sampling is per token on both sides. Our k3 term is plain, so TRL's
extra factor (`use_bias_correction_kl`, the ratio) is switched off. Our dual clip is its `delta`; its importance weights are what it
multiplies a token's loss with, here as its own documentation has them, and its old log-probs then are its own.
"""

import copy
from dataclasses import replace

import pytest
import torch

from crl.config.correction import CorrectionConfig
from crl.learn.correction import OFF
from crl.learn.objectives.cispo import CispoObjective
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import WeightedSequence
from crl.learn.trainer import Trainer
from tests.learn.samples import adam, random_batch, tiny_model
from tests.learn.trl_side import trl_inputs, trl_trainer

TOLERANCE = 1e-5


def near_policy_batch(model, count: int, seed: int, temperature: float) -> list[WeightedSequence]:
    """Random sequences whose old log-probs lie within +-0.6 of the model's: some ratios clip, most do not."""
    batch = random_batch(count, seed, temperature)
    noise = torch.Generator().manual_seed(seed)
    moved = []
    for item in batch:
        ids = torch.tensor([item.sequence.input_ids])
        with torch.no_grad():
            logprobs = torch.log_softmax(model(ids).logits[0, :-1] / temperature, -1)
        chosen = logprobs.gather(-1, ids[0, 1:, None]).squeeze(-1)
        old = chosen + (torch.rand(chosen.shape, generator=noise) - 0.5) * 1.2
        masked = [0.0, *(old * torch.tensor(item.sequence.loss_mask[1:])).tolist()]
        moved.append(replace(item, sequence=replace(item.sequence, old_logprobs=tuple(masked))))
    return moved


def compare(
    tmp_path, objective, temperature: float = 1.0, seed: int = 0, reference=None, correction=OFF, **trl_options
) -> None:
    model = tiny_model(seed, tied=seed % 2 == 0)
    batch = near_policy_batch(model, 9, seed, temperature)
    theirs = trl_trainer(copy.deepcopy(model), tmp_path, temperature, **trl_options)
    inputs = trl_inputs(batch)
    if reference is not None:
        inputs["ref_per_token_logps"] = logprobs_of(reference, inputs, temperature)
    if correction.on:
        theirs.use_vllm = theirs.vllm_importance_sampling_correction = True
        inputs["importance_sampling_ratio"] = trl_ratios(model, inputs, temperature, correction)
        del inputs["old_per_token_logps"]
    their_loss = theirs.compute_loss(theirs.model, inputs)
    their_loss.backward()

    ours = Trainer(
        model, adam(max_grad_norm=1e9), objective, reference_model=reference, device="cpu", correction=correction
    )
    metrics, gradients = update_and_gradients(ours, batch)
    assert metrics["loss"] == pytest.approx(their_loss.item(), abs=TOLERANCE)
    assert 0.0 < metrics["correction_outside" if correction.on else "clip_fraction"] < 1.0
    for name, parameter in theirs.model.named_parameters():
        assert torch.allclose(gradients[name], parameter.grad, atol=TOLERANCE), name


def trl_ratios(model, inputs, temperature: float, correction: CorrectionConfig) -> torch.Tensor:
    """As TRL makes them of what vLLM sampled: [B, T] by token, [B, 1] by sequence."""
    own = logprobs_of(model, inputs, temperature)
    apart = (own - inputs["old_per_token_logps"]) * inputs["completion_mask"] * inputs["tool_mask"]
    ratios = (apart.sum(-1, keepdim=True) if correction.level == "sequence" else apart).exp()
    inside = (ratios >= correction.low) & (ratios <= correction.high)
    return ratios * inside if correction.mode == "mask" else ratios.clamp(correction.low, correction.high)


def logprobs_of(model, inputs, temperature: float) -> torch.Tensor:
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    attention = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    width = inputs["completion_ids"].shape[1]
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=attention).logits[:, -width - 1 : -1]
    return torch.log_softmax(logits / temperature, -1).gather(-1, inputs["completion_ids"][..., None]).squeeze(-1)


def update_and_gradients(trainer: Trainer, batch) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    """One update, and the gradients as the optimiser saw them."""
    gradients: dict[str, torch.Tensor] = {}

    def keep(*_: object) -> None:
        gradients.update({name: p.grad.clone() for name, p in trainer.model.named_parameters()})

    hook = trainer._optimizer.register_step_pre_hook(keep)
    metrics = trainer.update(batch)
    hook.remove()
    return metrics, gradients


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("aggregation", "loss_type"), [("sequence", "grpo"), ("token", "bnpo")])
def test_clipped_policy_loss_and_gradient_equal_trls(tmp_path, aggregation, loss_type, seed):
    compare(
        tmp_path,
        GrpoObjective(clip_low=0.2, clip_high=0.28, aggregation=aggregation),
        seed=seed,
        loss_type=loss_type,
        epsilon=0.2,
        epsilon_high=0.28,
    )


def test_they_agree_under_a_sampling_temperature(tmp_path):
    compare(tmp_path, GrpoObjective(), temperature=0.7, loss_type="grpo", epsilon=0.2, epsilon_high=0.2)


def test_they_agree_with_a_k3_term_against_a_reference(tmp_path):
    compare(
        tmp_path,
        GrpoObjective(kl_coef=0.05),
        reference=tiny_model(7),
        loss_type="grpo",
        epsilon=0.2,
        epsilon_high=0.2,
        kl_coef=0.05,
        use_bias_correction_kl=False,
    )


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_cispo_loss_and_gradient_equal_trls(tmp_path, seed):
    compare(
        tmp_path,
        CispoObjective(clip_low=1.0, clip_high=0.1, aggregation="token"),
        seed=seed,
        loss_type="cispo",
        epsilon_high=1.1,
    )


def test_a_dual_clip_is_trls_delta(tmp_path):
    compare(tmp_path, GrpoObjective(dual_clip=1.4), loss_type="grpo", epsilon=0.2, epsilon_high=0.2, delta=1.4)


@pytest.mark.parametrize("level", ["token", "sequence"])
@pytest.mark.parametrize("mode", ["truncate", "mask"])
def test_importance_weights_act_as_trls(tmp_path, level, mode):
    correction = CorrectionConfig(level=level, mode=mode, low=0.7, high=1.5)
    compare(tmp_path, GrpoObjective(), correction=correction, loss_type="grpo", epsilon=0.2, epsilon_high=0.2)
    cispo = CispoObjective(clip_low=1.0, clip_high=0.1, aggregation="token")
    compare(tmp_path, cispo, correction=correction, loss_type="cispo", epsilon_high=1.1)
