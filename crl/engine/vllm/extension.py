"""Runs inside vLLM's worker processes: log-probs as `crl.types.Completion` defines them.

vLLM knows log-probs of the raw logits, before the temperature, and of what is left after top-k / top-p. Ours are in
between: after the temperature, before the truncation. So the temperature is applied first, and vLLM's own sampler
then finds its "raw" logits tempered already and a temperature of 1.
"""

import dataclasses
from typing import Any


class SamplerExtension:
    """Mixed into vLLM's worker class by `worker_extension_cls`; its methods are called by `collective_rpc`."""

    def crl_temper_logprobs(self) -> str:
        """From now on sampled log-probs are of softmax(logits / temperature). May be called again."""
        sampler = self.model_runner.sampler
        if type(sampler).__name__ != "TemperedSampler":
            sampler.__class__ = tempered(type(sampler))
        return "tempered"


def tempered(sampler_class: type) -> type:
    """A subclass of vLLM's sampler that divides by the temperature before anything else is done."""
    import torch

    class TemperedSampler(sampler_class):
        def forward(self, logits: torch.Tensor, sampling_metadata: Any, *args: Any, **kwargs: Any) -> Any:
            temperature_B = sampling_metadata.temperature
            if temperature_B is None:  # all rows are greedy: log-probs of softmax(logits)
                return super().forward(logits, sampling_metadata, *args, **kwargs)
            greedy_B = temperature_B < 1e-5
            one_B = torch.ones_like(temperature_B)
            scaled_BV = logits.float() / torch.where(greedy_B, one_B, temperature_B).unsqueeze(1)
            rest = dataclasses.replace(sampling_metadata, temperature=torch.where(greedy_B, temperature_B, one_B))
            return super().forward(scaled_BV, rest, *args, **kwargs)

    return TemperedSampler
