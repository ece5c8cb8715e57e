"""An adapter that learns in place of the weights: it alone moves, is stored and is sent; the base is the reference."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, Qwen3MoeConfig, Qwen3MoeForCausalLM

from crl.config.compose import composed
from crl.config.learn import LoraConfig
from crl.engine.protocol import Sampling
from crl.errors import ConfigError, DataError
from crl.files import digest_folder
from crl.learn.learner import Learner, open_learner
from crl.learn.objectives.grpo import GrpoObjective
from crl.learn.sequences import TrainingSequence, WeightedSequence
from crl.learn.trainer import Trainer
from crl.models.adapter import adapter_tensors, add_adapter, merged, twin
from crl.models.resolve import load_model, save_model
from crl.tiny.model import build_model
from crl.tiny.tokenizer import train_tokenizer
from tests.learn.samples import VOCAB, adam, random_batch, tiny_model

CONF = Path(__file__).parents[2] / "conf"
PROMPT = (10, 11, 12, 13)


def adapted(model=None, **lora) -> torch.nn.Module:
    model = model or tiny_model()
    add_adapter(model, LoraConfig(**{"rank": 4} | lora), field="learn.actor.lora", source="the base", seed=1)
    return model


def trainer(model=None, objective=None, **changes) -> Trainer:
    return Trainer(model or adapted(), adam(**changes), objective or GrpoObjective(), device="cpu")


def trained(updates: int = 3, **given) -> Trainer:
    learner = trainer(**given)
    for seed in range(updates):
        learner.update(random_batch(6, seed))
    return learner


def logprobs(model) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.arange(3, 43).view(2, 20)).logits.log_softmax(-1)


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def base_weights(model) -> dict[str, torch.Tensor]:
    state = model.state_dict().items()
    return {name.replace(".base_layer.", "."): tensor.clone() for name, tensor in state if "lora_" not in name}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """A model on disk, as a run has it."""
    folder, config = tmp_path_factory.mktemp("models") / "actor", composed("quick", folder=CONF)
    tokenizer = train_tokenizer(["go north to the door"], 300)
    save_model(build_model(config.models.actor, tokenizer, 1), tokenizer, folder)
    return folder


@pytest.fixture
def open_it(source):
    opened: list[Learner] = []

    def learner(*changes: str) -> Learner:
        lora = ["learn.actor.lora.rank=4", "learn.actor.optimizer.lr=0.01", *changes]
        opened.append(open_learner(composed("quick", lora, CONF), "actor", str(source), sessions=2, turnstile=None))
        return opened[-1]

    yield learner
    for each in opened:
        each.engine.close()


def test_a_fresh_adapter_changes_nothing_that_the_model_says():
    assert torch.equal(logprobs(adapted()), logprobs(tiny_model()))


def test_the_adapter_alone_learns_and_has_optimiser_state():
    learner = trained()
    before, state = adapter_tensors(adapted()), learner.state_dict()
    assert_same(base_weights(learner.model), tiny_model().state_dict())
    assert all(not torch.equal(tensor, before[name]) for name, tensor in state.weights.items())
    assert {key.partition("/")[2] for key in state.optimizer} == state.weights.keys() == learner.weights().keys()
    assert not any(weight.requires_grad for name, weight in learner.model.named_parameters() if "lora_" not in name)


def test_its_gradient_is_the_whole_models_through_the_product():
    """dL/dB = alpha / rank * dL/dW A^T, where A is random and B zero: with B alone learning the first step is exact."""
    batch, full = random_batch(6), tiny_model()
    lora, plain = trainer(max_grad_norm=1e9), trainer(full, max_grad_norm=1e9)
    grads = {}
    for each in (lora, plain):
        for part in each._share(batch, None):
            each._backward(part)
        grads[each] = {name: weight.grad for name, weight in each.model.named_parameters() if weight.grad is not None}
    name = "model.layers.1.self_attn.q_proj"
    a = dict(lora.model.named_parameters())[f"{name}.lora_A.default.weight"]
    expected = 32.0 / 4 * grads[plain][f"{name}.weight"] @ a.T
    assert torch.allclose(grads[lora][f"{name}.lora_B.default.weight"], expected, atol=1e-5)


def test_gradient_checkpointing_gives_the_same_gradient():
    learners = [trainer(checkpointing=on) for on in (False, True)]
    results = [learner.update(random_batch(6)) for learner in learners]
    assert results[1]["grad_norm"] == pytest.approx(results[0]["grad_norm"], rel=1e-5)
    model = learners[1].model
    assert (logprobs(merged(model)) - logprobs(model)).abs().max() < 1e-5


def gpt2() -> GPT2LMHeadModel:
    """Its matrices are turned round, and some are three layers' at once."""
    shape = GPT2Config(vocab_size=VOCAB, n_embd=16, n_layer=1, n_head=2, n_positions=64, bos_token_id=0, eos_token_id=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return GPT2LMHeadModel(shape).eval()


@pytest.mark.parametrize("build", [tiny_model, partial(tiny_model, tied=False), gpt2], ids=["tied", "untied", "gpt2"])
def test_a_merged_model_says_what_the_adapter_does_and_leaves_it_alone(build):
    model = trained(model=adapted(build())).model
    before = logprobs(model)
    assert (before - logprobs(build())).abs().max() > 0.1
    plain = merged(model)
    assert (logprobs(plain) - before).abs().max() < 1e-5
    assert plain.state_dict().keys() == build().state_dict().keys()
    assert torch.equal(logprobs(model), before)


def test_an_export_is_a_plain_model_with_the_adapter_beside_it(open_it, source, tmp_path):
    learner = open_it()
    learner.update([replace(item, weight=1.0) for item in random_batch(4)], 2)
    learner.export(tmp_path / "one")
    learner.export(tmp_path / "two")
    assert digest_folder(tmp_path / "one") == digest_folder(tmp_path / "two")
    model, tokenizer = load_model(tmp_path / "one")
    expected = logprobs(learner.trainer.model)
    assert type(model) is type(load_model(source)[0])
    assert (logprobs(model) - expected).abs().max() < 1e-5
    assert tokenizer.get_vocab() == learner.tokenizer.get_vocab()
    by_peft = PeftModel.from_pretrained(load_model(source)[0], tmp_path / "one" / "adapter")
    assert (logprobs(by_peft) - expected).abs().max() < 1e-6


async def sampled(learner: Learner, count: int = 4) -> list[WeightedSequence]:
    """What the engine says, with its log-probs, as what is to be trained on."""
    items = []
    for seed in range(count):
        async with learner.engine.session(f"s{seed}") as session:
            said = await session.generate(PROMPT, Sampling(seed=seed, max_new_tokens=12), f"r{seed}")
        mask = (0,) * len(PROMPT) + (1,) * len(said.token_ids)
        logprobs = (0.0,) * len(PROMPT) + said.logprobs
        sequence = TrainingSequence((*PROMPT, *said.token_ids), mask, logprobs, 1.0, version=said.version)
        items.append(WeightedSequence(sequence, 1.0 if seed % 2 else -0.5))
    return items


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_ratios_are_one_on_weights_that_nobody_changed_before_and_after_an_update(open_it, dtype):
    learner = open_it(f"models.actor.dtype={dtype}")
    for version in range(3):
        metrics = learner.update(asyncio.run(sampled(learner)), 1)
        assert metrics["actor/engine_mismatch_tokens"] > 0
        assert metrics["actor/engine_mismatch_max"] < (1e-4 if dtype == "float32" else 0.1)
        learner.sync()
        assert learner.engine.version == version + 1
    moved = [tensor.abs().max() for name, tensor in learner.trainer.weights().items() if "lora_B" in name]
    assert min(moved) > 0


def test_in_float32_the_engine_computes_a_plain_model(open_it):
    engine = open_it().engine
    assert not any("lora_" in name for name in engine._model.state_dict())
    assert (
        engine._model.get_input_embeddings().weight.data_ptr() == engine._given.get_input_embeddings().weight.data_ptr()
    )


def test_in_bfloat16_engine_and_trainer_share_the_weights_but_not_the_adapter(open_it):
    learner = open_it("models.actor.dtype=bfloat16")
    ours, engines = learner.trainer.model.state_dict(), learner.engine._model.state_dict()
    shared = {name for name in ours if ours[name].data_ptr() == engines[name].data_ptr()}
    assert shared == {name for name in ours if "lora_" not in name}
    assert {ours[name].dtype for name in ours.keys() - shared} == {torch.float32}
    assert {engines[name].dtype for name in engines} == {torch.bfloat16}


def test_the_reference_of_a_kl_term_is_the_base():
    objective, batch = GrpoObjective(kl_coef=0.1), random_batch(6)
    alone = trained(objective=objective)
    told = Trainer(adapted(), adam(), objective, reference_model=tiny_model(), device="cpu")
    for seed in range(3):
        told.update(random_batch(6, seed))
    one, other = alone.update(batch), told.update(batch)
    assert one["reference_kl"] > 0
    assert one == pytest.approx(other, rel=1e-5)
    assert_same(alone.weights(), told.weights())
    fresh = trainer(objective=objective)
    assert fresh.update([replace(item, weight=0.0) for item in batch])["reference_kl"] == 0.0


def test_a_checkpoint_holds_no_base_weights_and_resumes_bit_for_bit(tmp_path):
    whole, interrupted = trained(2), trained(2)
    interrupted.save(tmp_path)
    assert load_file(tmp_path / "adapter_model.safetensors").keys() == whole.weights().keys()
    matrices = sum(tensor.numel() for tensor in whole.weights().values())
    stored = sum(tensor.numel() for file in tmp_path.glob("*.safetensors") for tensor in load_file(file).values())
    assert 3 * matrices <= stored < 3.1 * matrices  # with two moments each, and the counts of steps
    resumed = trainer(adapted(rank=4))
    resumed.load(tmp_path)
    assert whole.update(random_batch(6, 2)) == resumed.update(random_batch(6, 2))
    assert_same(whole.state_dict().weights, resumed.state_dict().weights)
    assert_same(whole.state_dict().optimizer, resumed.state_dict().optimizer)
    assert whole.counters == resumed.counters


def test_a_checkpoint_of_another_base_or_another_rank_is_refused(tmp_path):
    trained(1).save(tmp_path)
    with pytest.raises(DataError, match=r"belongs to another base: the base \(weights \w{12}\).*Remedy"):
        trainer(adapted(tiny_model(seed=1))).load(tmp_path)
    with pytest.raises(DataError, match=r"lora_A.weight has shape \(4, 32\) in the state, \(8, 32\) in the model"):
        trainer(adapted(rank=8)).load(tmp_path)
    with pytest.raises(DataError, match=r"does not fit the model"):
        trainer(tiny_model()).load(tmp_path)


def test_a_learner_goes_on_from_its_folder(open_it, tmp_path):
    learner, batch = open_it(), [replace(item, weight=1.0) for item in random_batch(4)]
    learner.update(batch, 1)
    learner.sync()
    learner.save(tmp_path)
    again = open_it()
    again.load(tmp_path, learner.version)
    said = [asyncio.run(sampled(each)) for each in (learner, again)]
    assert said[0] == said[1]
    assert learner.update(batch, 1) == again.update(batch, 1)


@pytest.mark.parametrize("targets", [("q_proj", "v_proj"), ("all-linear",), ("layers.1.mlp.up_proj",)])
def test_targets_are_the_layers_that_are_named(targets):
    names = {
        name.split(".lora_")[0].partition("base_model.model.")[2] for name in adapter_tensors(adapted(targets=targets))
    }
    linear = {name for name, part in tiny_model().named_modules() if isinstance(part, torch.nn.Linear)} - {"lm_head"}
    assert names == {name for name in linear if targets == ("all-linear",) or name.endswith(targets)}


@pytest.mark.parametrize("targets", [["qproj"], ["q_proj", "mlp"], ["lm_head"], ["embed_tokens"]])
def test_a_target_that_is_no_linear_layer_of_a_block_is_refused(targets):
    with pytest.raises(ConfigError, match=r"learn.actor.lora.targets = .* in the blocks of Qwen2ForCausalLM.*q_proj"):
        adapted(targets=targets)


def test_experts_that_are_one_tensor_are_refused_and_the_attention_beside_them_learns():
    shape = Qwen3MoeConfig(
        vocab_size=VOCAB, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, head_dim=8,
        num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"targets = \['all-linear'\]: takes in experts of Qwen3Moe.*Remedy.*q_proj"):
        adapted(Qwen3MoeForCausalLM(shape))
    model = trained(model=adapted(Qwen3MoeForCausalLM(shape).eval(), targets=["q_proj", "v_proj"])).model
    assert (logprobs(merged(model)) - logprobs(model)).abs().max() < 1e-5


def test_the_same_seed_makes_the_same_adapter_whatever_was_drawn_before():
    one = adapter_tensors(adapted())
    torch.rand(7)
    assert_same(one, adapter_tensors(adapted()))


def test_a_twin_is_a_model_of_its_own():
    model = adapted()
    other = twin(model)
    before = logprobs(other)
    trainer(model).update(random_batch(6))
    assert torch.equal(logprobs(other), before)
    assert not torch.equal(logprobs(model), before)


def test_what_is_stored_loads_in_transformers_as_an_adapter(tmp_path):
    tokenizer = train_tokenizer(["go north"], 300)
    save_model(tiny_model(), tokenizer, tmp_path / "base")
    learner = trained()
    learner.save(tmp_path / "checkpoint")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "base")
    model.load_adapter(str(tmp_path / "checkpoint"))
    assert (logprobs(model) - logprobs(learner.model)).abs().max() < 1e-6
