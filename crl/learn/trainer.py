"""One trainer for the actor, the extractor and the warm start.

Plain in one process, sharded in several (`crl.learn.workers`). Every worker is given the same batch and takes its share
of the micro-batches; denominators are those of the whole batch, so neither the micro-batch size nor the number of workers
changes the loss or the gradient.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from crl.config.correction import CorrectionConfig
from crl.config.learn import AdamConfig
from crl.errors import ConfigError, RunStopped
from crl.learn.collate import Denominators, MicroBatch, collate, micro_batches, rows_of
from crl.learn.correction import OFF, Anchor
from crl.learn.diagnostics import combine, mismatch_told, summarise, token_sums
from crl.learn.objectives import Objective, k3_kl
from crl.learn.scoring import TokenScorer, ways_of
from crl.learn.sequences import WeightedSequence
from crl.learn.state import TrainerState, UpdateCounts, full_weights, put_out, read_state, write_state
from crl.learn.stored import load_into, load_state, save_pieces, save_state
from crl.learn.workers import ALONE, Workers, whole
from crl.models.adapter import adapter_off, base_of, has_adapter
from crl.models.resolve import resolve_device


class Trainer:
    """Takes over `model`, with what learns of it in float32, and runs AdamW on that: its adapter, or all weights.

    `dtype` is the arithmetic of the forward passes and of what `weights()` gives to engines. Pure bfloat16
    weights would lose updates of 1e-6, the paper's learning rate, to rounding. Of a model with an adapter the weights
    are the KL term's reference, with the adapter off.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        adam: AdamConfig,
        objective: Objective,
        *,
        reference_model: PreTrainedModel | None = None,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        dtype: Literal["float32", "bfloat16"] = "float32",
        correction: CorrectionConfig = OFF,
        max_mismatch: float | None = None,
        workers: Workers = ALONE,
    ) -> None:
        """`max_mismatch`: mean engine mismatch in nats that still is learned from; None: any. `workers`: this and its peers."""
        if objective.kl_coef > 0 and reference_model is None and not has_adapter(model):
            raise ConfigError(f"kl_coef = {objective.kl_coef} needs a reference. Remedy: pass reference_model")
        self.device = torch.device(resolve_device(device))
        self.dtype = dtype  # of the arithmetic
        self._adam, self._objective, self._dtype = adam, objective, getattr(torch, dtype)
        self._correction, self._max_mismatch = correction, max_mismatch
        self._workers = workers
        if adam.checkpointing:
            _recompute_layers(model)
        self._base = workers.told(lambda: base_of(model))
        if self._base is None:  # weights beside an adapter stay as they are: an engine may share their memory
            model.float()
        # As the engine evaluates it, or ratios measure noise: dropout, skipped layers and jitter of a router's inputs are
        # kept as modules, as rates and as random draws, and all that they have in common is to ask for training mode.
        self._scorer = self._spread(model, recomputes=adam.checkpointing)
        learning = [weight for weight in self._scorer.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(learning, lr=adam.lr, weight_decay=adam.weight_decay, fused=True)
        self._reference = None
        if objective.kl_coef > 0 and reference_model is not None:
            self._reference = self._spread(reference_model.to(self._dtype).requires_grad_(False))
        self.counters = UpdateCounts()
        self._kept: TrainerState | None = None

    @property
    def model(self) -> PreTrainedModel:
        return self._scorer.model

    @property
    def architecture(self) -> str:
        return type(self.model).__name__

    def update(
        self, batch: Sequence[WeightedSequence], *, steps: int = 1, lr_scale: float = 1.0, version: int | None = None
    ) -> dict[str, float]:
        """Learn from `batch` in `steps` optimiser steps, episode i in step i mod `steps`.

        Returns means over the steps taken: loss, grad_norm (before clipping), entropy, and for policy
        objectives ratio_mean, ratio_max, clip_fraction, kl_k1, kl_k3; names carry no `actor/` prefix.
        With the `version` of the weights as they are now, also engine_mismatch_mean and _max: |log-prob of the
        engine - ours| in the first step's pass, over the engine_mismatch_tokens that this version sampled.
        With a correction, correction_weight, _outside and _ess (`crl.learn.diagnostics`), at one more forward pass over all but
        the first step's share.
        Diagnostics are over sequences that can change the weights: see `_contributing`.
        A step without any is not taken, since momentum alone would move the weights.

        Raises RunStopped, with the weights as they were before the step, for a gradient that is not finite and for a
        mismatch above `max_mismatch`.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._adam.lr * lr_scale
        shares = [share for k in range(steps) if (share := self._share(batch[k::steps], version))]
        if self._correction.on:  # the first step's own pass is of the weights of now
            shares[1:] = [[self._with_proximal(part) for part in share] for share in shares[1:]]
        # A step leaves the version behind.
        taken = [self._step(share, compares=version is not None and k == 0) for k, share in enumerate(shares)]
        self.counters = replace(self.counters, updates=self.counters.updates + 1)
        merged = {
            name: statistics.fmean(step[name] for step in taken if name in step) for name in (taken[0] if taken else ())
        }
        for name, joined in (("ratio_max", max), ("trained_tokens", sum)):
            if name in merged:
                merged[name] = joined(step[name] for step in taken)
        return merged | {"optimizer_steps": float(len(taken))}

    def weights(self, device: str | None = None) -> dict[str, torch.Tensor]:
        """A copy of the weights in `dtype`, by parameter name, for an engine's `load_weights`; on the leading worker alone."""
        return full_weights(self.model, self._dtype, device or self.device, here=self._workers.leads)

    def state_dict(self, *, slots: bool = True) -> TrainerState:
        """A copy on the CPU, without the optimiser's slots if need be; on the leading worker alone: the others' are empty."""
        optimizer = self._optimizer if slots else None
        return read_state(self.model, optimizer, self.counters, self._base, here=self._workers.leads)

    def load_state_dict(self, state: TrainerState) -> None:
        """Every worker must be given the whole state."""
        write_state(self.model, self._optimizer, state, self._base)
        self.counters = state.counters

    def save(self, folder: Path) -> None:
        """Write everything that an exact resume needs. Alone the folder is a Hugging Face model, too, or PEFT's of an adapter; of
        several workers each writes its share. Nothing may change the weights meanwhile."""
        if self._workers.count > 1:
            save_pieces(folder, self.model, self._optimizer, self.counters, self._base, self._workers)
        else:
            state = read_state(self.model, self._optimizer, self.counters, self._base, copy=False)
            save_state(folder, self.model, state)

    def committed(self, folder: Path) -> None:
        """It ends with this process, which begins again there by itself."""

    def load(self, folder: Path) -> None:
        """By however many workers it was saved; each reads its share."""
        self.counters = load_into(folder, self.model, self._optimizer, self._base, self._workers)

    def keep(self) -> None:
        """Copy weights and optimiser to the CPU, as what to go back to."""
        self._kept = self.state_dict()

    def take_back(self) -> None:
        self.load_state_dict(self._kept)

    def save_kept(self, folder: Path) -> None:
        save_state(folder, self.model, self._kept)

    def load_kept(self, folder: Path) -> None:
        self._kept = load_state(folder)

    def export(self, tokenizer: Any, folder: Path) -> None:
        """See `crl.learn.state.put_out`."""
        put_out(self.model, tokenizer, folder, self._base)

    def close(self) -> None:
        """Nothing of it outlives this process."""

    def _spread(self, model: PreTrainedModel, *, recomputes: bool = False) -> TokenScorer:
        """On the device of each worker; a model that is to be cut stays where it is until then."""
        if self._workers.count == 1:
            model = model.to(self.device)
        ways = self._workers.told(lambda: ways_of(model, recomputes=recomputes))
        scorer = TokenScorer(model, ways).eval()
        self._workers.shard(scorer, self._dtype, self.device)
        return scorer

    def _step(self, micro: Sequence[MicroBatch], *, compares: bool) -> dict[str, float]:
        totals = combine(torch.stack([self._backward(part) for part in micro]))
        grad_norm = nn.utils.clip_grad_norm_(self._scorer.parameters(), self._adam.max_grad_norm)
        metrics = {"grad_norm": float(whole(grad_norm))} | summarise(
            combine(self._workers.gathered(totals)),
            has_ratio=self._objective.clip_range is not None,
            has_reference=self._objective.kl_coef > 0,
            compares=compares,
            corrects=self._correction.on,
        )
        if fault := self._fault(metrics):
            self._optimizer.zero_grad()
            raise RunStopped(fault)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self.counters = replace(self.counters, optimizer_steps=self.counters.optimizer_steps + 1)
        return metrics

    def _fault(self, metrics: dict[str, float]) -> str | None:
        """Why a step with these metrics must not be taken; None: it may. Every worker finds the same."""
        if not math.isfinite(metrics["grad_norm"]):
            return (
                f"gradient norm = {metrics['grad_norm']} at optimiser step {self.counters.optimizer_steps + 1}; the weights are "
                "untouched. Remedy: lower the learning rate, or look for broken log-probs in the batch"
            )
        if self._max_mismatch is not None and metrics.get("engine_mismatch_mean", 0.0) > self._max_mismatch:
            so = f"and learn.*.max_mismatch = {self._max_mismatch:g}; the weights are untouched"
            return mismatch_told(metrics, self.architecture, so)
        return None

    def _share(self, batch: Sequence[WeightedSequence], version: int | None) -> list[MicroBatch]:
        """This worker's micro-batches; all workers get equally many, as collectives in the passes require."""
        denominators = Denominators.of(batch)
        rows = rows_of(self._contributing(batch))
        parts = micro_batches([row.length for row in rows], self._adam.micro_batch_tokens)
        rank, world = self._workers.rank, self._workers.count
        own = []
        for start in range(0, len(parts), world):
            live = start + rank < len(parts)
            chosen = [rows[i] for i in parts[start + rank if live else start]]
            own.append(
                collate(
                    chosen, denominators, self._objective.aggregation, device=self.device, live=live, version=version
                )
            )
        return own

    def _contributing(self, batch: Sequence[WeightedSequence]) -> list[WeightedSequence]:
        """Sequences with a gradient: those of weight 0 count in the denominators but need no passes.

        Exact, since every term is proportional to the weight; with a KL term they do contribute.
        """
        trainable = (item for item in batch if any(item.sequence.loss_mask))
        return [item for item in trainable if item.weight != 0 or self._objective.kl_coef > 0]

    def _backward(self, part: MicroBatch) -> torch.Tensor:
        """Add one micro-batch's gradient; returns its diagnostics [16]."""
        with self._arithmetic():
            logprobs, entropies = self._scorer(*part.inputs)
            reference_kl = None
            if self._objective.kl_coef > 0:
                reference_kl = k3_kl(logprobs, self._reference_logprobs(part))
        # Where no ratio can be taken it is 1: an objective's gradient is then -weight * grad log pi.
        anchor = Anchor.of(part, logprobs, self._correction)
        terms = anchor.weights * self._objective.token_loss(logprobs, anchor.proximal, part.advantages)
        if reference_kl is not None:  # k3 estimates it from the policy's own samples alone
            terms = terms + self._objective.kl_coef * reference_kl * part.in_context
        loss = (terms * part.token_weights).sum()
        # Workers' gradients are averaged, but the denominators are already those of all workers.
        (loss * self._workers.count).backward()
        return token_sums(part, loss, logprobs, anchor, entropies, reference_kl, self._objective.clip_range)

    @torch.no_grad()
    def _with_proximal(self, part: MicroBatch) -> MicroBatch:
        """With the log-probs of the weights as they are now."""
        with self._arithmetic():
            return replace(part, proximal=self._scorer(*part.inputs)[0])

    def _arithmetic(self) -> torch.autocast:
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype is not torch.float32)

    @torch.no_grad()
    def _reference_logprobs(self, part: MicroBatch) -> torch.Tensor:
        """Of the model that the KL term holds to: [M]. Weights beside an adapter are the model that it began from."""
        if self._reference is not None:
            return self._reference(*part.inputs)[0]
        with adapter_off(self.model):
            return self._scorer(*part.inputs)[0]


def _recompute_layers(model: PreTrainedModel) -> None:
    """Gradient checkpointing in evaluation mode, in which transformers' own is off."""
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(
            f"checkpointing: {type(model).__name__} cannot recompute its layers. Remedy: learn.*.optimizer.checkpointing: false"
        )
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False)
