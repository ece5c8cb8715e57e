"""What a model is, as far as memory and arithmetic go: from a name, a config.json, or the parameters of a tiny one."""

import json
from dataclasses import dataclass
from pathlib import Path

from crl.config import Config, Role
from crl.config.learn import ALL_LINEAR, LoraConfig
from crl.errors import ConfigError
from crl.models.shelf import located


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder of the Qwen2 / Qwen3 / Llama kind: grouped-query attention and a gated feed-forward part."""

    name: str
    hidden: int  # h
    layers: int  # L
    heads: int  # n_q
    kv_heads: int  # n_kv
    head_dim: int  # d
    feed_forward: int  # f
    vocabulary: int  # V
    tied: bool  # one table for embeddings and output
    biases: bool = False  # of the q, k and v projections (Qwen2)
    head_norms: bool = False  # of q and k (Qwen3)

    @property
    def layer_matrices(self) -> int:
        """Weights of one layer's matrices: q and o, k and v, gate, up and down: 2 h n_q d + 2 h n_kv d + 3 h f."""
        attention = 2 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        return attention + 3 * self.hidden * self.feed_forward

    def adapter_parameters(self, lora: LoraConfig) -> int:
        """Of an adapter: rank x (inputs + outputs) of each target, in all layers. Targets count by the last part of their name."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        widths = {
            "q_proj": self.hidden + query, "k_proj": self.hidden + key, "v_proj": self.hidden + key, "o_proj": query + self.hidden,
            **dict.fromkeys(("gate_proj", "up_proj", "down_proj"), self.hidden + self.feed_forward),
        }  # fmt: skip
        named = {target.rpartition(".")[2] for target in lora.targets}
        return lora.rank * self.layers * sum(widths[name] for name in widths if ALL_LINEAR in named or name in named)

    @property
    def table(self) -> int:
        """Weights of one embedding table: V h."""
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        """All weights: the layers, both norms of each and the last one, and the tables. Exact."""
        small = 2 * self.hidden
        small += self.head_dim * (self.heads + 2 * self.kv_heads) if self.biases else 0
        small += 2 * self.head_dim if self.head_norms else 0
        return self.layers * (self.layer_matrices + small) + self.hidden + self.table * (1 if self.tied else 2)

    @property
    def matrices(self) -> int:
        """Weights that each token is multiplied with: the layers' matrices and the output table."""
        return self.layers * self.layer_matrices + self.table


def _qwen2(name: str, *sizes: int, tied: bool = False) -> Shape:
    return Shape(name, *sizes, tied=tied, biases=True)


def _qwen3(name: str, *sizes: int, tied: bool = False) -> Shape:
    return Shape(name, *sizes, tied=tied, head_norms=True)


# hidden, layers, heads, key-value heads, head width, feed-forward, vocabulary: from the models' config.json
KNOWN = {
    shape.name.lower(): shape
    for shape in (
        _qwen2("Qwen2.5-0.5B", 896, 24, 14, 2, 64, 4864, 151_936, tied=True),
        _qwen2("Qwen2.5-1.5B", 1536, 28, 12, 2, 128, 8960, 151_936, tied=True),
        _qwen2("Qwen2.5-3B", 2048, 36, 16, 2, 128, 11_008, 151_936, tied=True),
        _qwen2("Qwen2.5-7B", 3584, 28, 28, 4, 128, 18_944, 152_064),
        _qwen2("Qwen2.5-14B", 5120, 48, 40, 8, 128, 13_824, 152_064),
        _qwen2("Qwen2.5-32B", 5120, 64, 40, 8, 128, 27_648, 152_064),
        _qwen2("Qwen2.5-72B", 8192, 80, 64, 8, 128, 29_568, 152_064),
        _qwen3("Qwen3-0.6B", 1024, 28, 16, 8, 128, 3072, 151_936, tied=True),
        _qwen3("Qwen3-Embedding-0.6B", 1024, 28, 16, 8, 128, 3072, 151_669, tied=True),
        _qwen3("Qwen3-1.7B", 2048, 28, 16, 8, 128, 6144, 151_936, tied=True),
        _qwen3("Qwen3-4B", 2560, 36, 32, 8, 128, 9728, 151_936, tied=True),
        _qwen3("Qwen3-8B", 4096, 36, 32, 8, 128, 12_288, 151_936),
        _qwen3("Qwen3-14B", 5120, 40, 40, 8, 128, 17_408, 151_936),
        _qwen3("Qwen3-32B", 5120, 64, 64, 8, 128, 25_600, 151_936),
    )
}


def shape_of(source: str) -> Shape:
    """The shape of a model folder or of a known name; `Qwen/Qwen3-4B-Thinking-2507` is a Qwen3-4B.

    Nothing is downloaded. Raises ConfigError for a name that is neither.
    """
    file = Path(located(source)) / "config.json"
    if file.is_file():
        return _from_file(source, json.loads(file.read_text()))
    name = source.rsplit("/", 1)[-1].lower()
    fitting = [known for known in KNOWN if name == known or name.startswith(f"{known}-")]
    if not fitting:
        raise ConfigError(
            f"model {source!r}: no folder with a config.json, and none of {', '.join(s.name for s in KNOWN.values())}. "
            "Remedy: name one of these, or a folder that holds its config.json (its weights are not needed)"
        )
    return KNOWN[max(fitting, key=len)]


def _from_file(source: str, values: dict) -> Shape:
    kind = values.get("model_type", "")
    try:
        hidden, heads = values["hidden_size"], values["num_attention_heads"]
        return Shape(
            Path(source).name,
            hidden,
            values["num_hidden_layers"],
            heads,
            values.get("num_key_value_heads") or heads,
            values.get("head_dim") or hidden // heads,
            values["intermediate_size"],
            values["vocab_size"],
            tied=values.get("tie_word_embeddings", False),
            biases=kind == "qwen2" or bool(values.get("attention_bias")),
            head_norms=kind == "qwen3",
        )
    except KeyError as error:
        raise ConfigError(
            f"{source}/config.json: no field {error}. Remedy: a decoder of the Qwen2, Qwen3 or Llama kind"
        ) from None


def shape_in(config: Config, role: Role) -> Shape:
    """Of the model that the parameters name for a role. Raises ConfigError for one whose shape is unknown."""
    model = config.role(role).model
    if model.source != "scratch":
        return shape_of(model.source)
    return Shape(  # as `crl.tiny.model` builds it
        "scratch", model.hidden_size, model.layers, model.heads, model.heads, model.hidden_size // model.heads,
        -(-model.hidden_size * 8 // 3 // 16) * 16, config.models.vocab_size, tied=False, biases=True,
    )  # fmt: skip
