"""TRL's GRPOTrainer on a frozen batch of ours: the independent implementation that losses are checked against."""

from collections.abc import Sequence
from pathlib import Path

import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from crl.learn.sequences import WeightedSequence

PAD = 0


def trl_trainer(
    model: PreTrainedModel, folder: Path, temperature: float = 1.0, kl_coef: float = 0.0, **options: object
) -> GRPOTrainer:
    """A trainer that never generates: its batch is handed to `compute_loss` directly."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "a": 2}, unk_token="<pad>")),
        pad_token="<pad>",
        eos_token="<eos>",
    )
    config = GRPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        report_to="none",
        per_device_train_batch_size=2,
        num_generations=2,
        temperature=temperature,
        gradient_checkpointing=False,
        **options,
    )
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=Dataset.from_dict({"prompt": ["a", "a"]}),
        processing_class=tokenizer,
    )
    trainer.current_gradient_accumulation_steps = 1
    trainer.beta = kl_coef  # set here, else it looks for a reference model by name
    trainer.model.train()
    return trainer


def trl_inputs(batch: Sequence[WeightedSequence]) -> dict[str, torch.Tensor]:
    """Our sequences in TRL's layout: prompts padded left, completions padded right, tool tokens masked.

    The completion begins at the first trainable token; later untrainable ones are TRL's tool tokens.
    """
    starts = [item.sequence.loss_mask.index(1) for item in batch]
    longest_prompt = max(starts)
    longest_completion = max(len(item.sequence.input_ids) - start for item, start in zip(batch, starts, strict=True))
    prompts, prompt_masks, completions, completion_masks, tool_masks, old = [], [], [], [], [], []
    for item, start in zip(batch, starts, strict=True):
        ids, mask = list(item.sequence.input_ids), list(item.sequence.loss_mask)
        left = longest_prompt - start
        right = longest_completion - (len(ids) - start)
        prompts.append([PAD] * left + ids[:start])
        prompt_masks.append([0] * left + [1] * start)
        completions.append(ids[start:] + [PAD] * right)
        completion_masks.append([1] * (len(ids) - start) + [0] * right)
        tool_masks.append(mask[start:] + [0] * right)
        old.append(list(item.sequence.old_logprobs[start:]) + [0.0] * right)
    trainable = sum(item.sequence.trainable_tokens for item in batch)
    return {
        "prompt_ids": torch.tensor(prompts),
        "prompt_mask": torch.tensor(prompt_masks),
        "completion_ids": torch.tensor(completions),
        "completion_mask": torch.tensor(completion_masks),
        "tool_mask": torch.tensor(tool_masks),
        "old_per_token_logps": torch.tensor(old),
        "advantages": torch.tensor([item.weight for item in batch]),
        "num_items_in_batch": torch.tensor(float(trainable)),
    }


def trl_update(
    trainer: GRPOTrainer, optimizer: torch.optim.Optimizer, batch: Sequence[WeightedSequence], at_once: int
) -> float:
    """What TRL's trainer does with a generation batch: split, compute_loss and backward per part, clip, step. Returns the loss."""
    inputs, total = trl_inputs(batch), 0.0
    for start in range(0, len(batch), at_once):
        part = {k: v[start : start + at_once] if v.dim() else v for k, v in inputs.items()}
        loss = trainer.compute_loss(trainer.model, part)
        trainer.accelerator.backward(loss)
        total += loss.item()
    trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), trainer.args.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return total
