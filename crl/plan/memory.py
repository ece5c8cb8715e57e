"""Bytes that a model takes where it learns and where it generates. All sizes in bytes, per GPU where sharded.

Exact: weights, gradients, optimiser, caches, and what autograd keeps of a forward pass (tests compare each with a
real model). Estimated: the logits' temporaries. Not counted: the CUDA context and fragmentation; see RESERVE.
"""

from dataclasses import dataclass

from crl.plan.shapes import Shape

GIB = 2**30
RESERVE = 2 * GIB  # per GPU: CUDA context, libraries' workspaces, fragmentation; an allowance, not a measurement
LOGITS_AT_ONCE = 2**27  # as crl.learn.scoring chunks them
WIDTH = {"float32": 4, "bfloat16": 2}
# What lives only while a learner updates. Learners of one GPU update one after the other.
DURING_UPDATE = ("gradients", "casts", "activations", "logits", "weights for engines")


@dataclass(frozen=True, slots=True)
class Part:
    """What one model takes for one purpose on one GPU, by kind; `gpus` of them share the model."""

    role: str  # "actor" | "extractor" | "embedder"
    purpose: str  # "train" | "generate" | "embed"
    gpus: int
    bytes: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.bytes.values())

    @property
    def passing(self) -> int:
        """What is given back between updates."""
        return sum(self.bytes.get(name, 0) for name in DURING_UPDATE)


def activation_bytes(shape: Shape, tokens: int, dtype: str, *, checkpointing: bool) -> int:
    """What autograd keeps of one forward pass of the layers, for the backward pass.

    Per token and layer, with n = n_q + n_kv, of the trainer's float32 weights under bfloat16 autocast:
    norms 4 x 4h + 8; the inputs of q, k, v, gate and up 5 x 2h; q, k, v and the attention's output 2 x 2nd;
    log-sum-exp 4 n_q; gate, its SiLU, up and their product 4 x 2f. Norms of heads add (4 + 2) nd + 4n.
    In float32: norms and inputs 6 x 4h + 8, attention 2 x 4nd + 4 n_q, feed-forward 4 x 4f; norms of heads 8nd + 4n.
    With checkpointing the layers' inputs, 4h each, and all that of the one layer that is recomputed.
    """
    both = shape.heads + shape.kv_heads
    if dtype == "bfloat16":
        each = 26 * shape.hidden + 8 + 4 * both * shape.head_dim + 4 * shape.heads + 8 * shape.feed_forward
        each += (6 * both * shape.head_dim + 4 * both) if shape.head_norms else 0
    else:
        each = 24 * shape.hidden + 8 + 8 * both * shape.head_dim + 4 * shape.heads + 16 * shape.feed_forward
        each += (8 * both * shape.head_dim + 4 * both) if shape.head_norms else 0
    return (4 * shape.hidden * shape.layers + each if checkpointing else each * shape.layers) * tokens


def cache_bytes_per_token(shape: Shape, dtype: str) -> int:
    """Keys and values of one token in all layers: 2 L n_kv d x width."""
    return 2 * shape.layers * shape.kv_heads * shape.head_dim * WIDTH[dtype]


def training(
    role: str, shape: Shape, *, tokens: int, trainable: int, dtype: str, checkpointing: bool, gpus: int = 1,
    reference: bool = False, adapter: int = 0, shared: bool = False,
) -> Part:  # fmt: skip
    """A learner: float32 weights, gradients and AdamW's two moments, 16 bytes per parameter, shared by FSDP's `gpus`,
    as a KL term's reference is.

    `tokens`: padded tokens of a micro-batch; `trainable` of them get logits. Casts: autocast's bfloat16 copies of the
    matrices, alive over a whole pass; under FSDP those of one layer and the output table at a time. The copy of the
    weights that engines are given (P x width) is made when no activations live, so only the larger of both counts.
    `adapter`: parameters that learn in place of the weights, at 16 bytes each; the weights have the model's number type and
    serve as the reference. `shared`: with an engine of this process, which in float32 has merged ones of its own.
    """
    parameters, width = shape.parameters, WIDTH[dtype]
    learning = adapter or parameters
    cast = 0
    if width == 2 and adapter:
        cast = 2 * adapter
    elif width == 2:
        cast = 2 * (shape.matrices if gpus == 1 else shape.layer_matrices + shape.table)
    logits = 4 * 4 * min(trainable * shape.vocabulary, LOGITS_AT_ONCE)
    activations = activation_bytes(shape, tokens, dtype, checkpointing=checkpointing)
    copied = max(0, learning * width - activations - cast - logits)
    frozen = parameters * width if adapter and not (shared and width == 2) else 0
    sizes = {
        "weights": (4 * learning + frozen) // gpus,
        "gradients": 4 * learning // gpus,
        "optimiser": 8 * learning // gpus,
        "casts": cast,
        "activations": activations,
        "logits": logits,
        "weights for engines": copied,
        "reference": parameters * width // gpus if reference and not adapter else 0,
    }
    return Part(role, "train", gpus, {name: size for name, size in sizes.items() if size})


def slots(role: str, shape: Shape, *, sessions: int, context: int, dtype: str, adapter: int = 0) -> Part:
    """The transformers engine: its copy of the weights, with an adapter of so many, and a cache of full length for each session."""
    cache = sessions * context * cache_bytes_per_token(shape, dtype)
    return Part(role, "generate", 1, {"weights": (shape.parameters + adapter) * WIDTH[dtype], "cache": cache})


def paged(role: str, shape: Shape, *, memory: int, share: float, dtype: str, gpus: int) -> Part:
    """A vLLM engine on `gpus` tensor-parallel GPUs: it takes its share of each, and what weights leave is cache.

    A negative cache means that the weights alone are larger than the share.
    """
    weights = shape.parameters * WIDTH[dtype] // gpus
    return Part(role, "generate", gpus, {"weights": weights, "cache": int(memory * share) - weights})
