"""Small tokenizers in the shape of published ones: their kind of vocabulary, their added tokens, their chat templates."""

import json

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

TEXTS = ["go north to the door", "you are a helpful assistant", "system user assistant", "[INST] look around\n\n"] * 3

LLAMA_3 = (
    "{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'"
    " + message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
GLM = (
    "[gMASK]<sop>{% for message in messages %}{{ '<|' + message['role'] + '|>\n' }}"
    "{% if message['role'] == 'assistant' %}{{ '<think></think>\n' }}{% endif %}{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n<think></think>\n' }}{% endif %}"
)
PHI_3 = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + '[/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] | trim + eos_token }}"
    "{% else %}{{ raise_exception('roles are user and assistant') }}{% endif %}{% endfor %}"
)
VICUNA = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ 'USER: ' + message['content'] + ' ' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'ASSISTANT: ' + message['content'] + '</s>' }}"
    "{% else %}{{ message['content'] + ' ' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
DEEPSEEK = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'] }}"
    "{% elif message['role'] == 'user' %}{{ '<｜User｜>' + message['content'] }}"
    "{% elif message['role'] == 'tool' %}{{ '<｜tool▁output▁begin｜>' + message['content'] + '<｜tool▁output▁end｜>' }}"
    "{% else %}{{ '<｜Assistant｜>' + message['content'] + '<｜end▁of▁sentence｜>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜><think>\n' }}{% endif %}"
)
QWEN = (
    "{% if tools %}{{ '<|im_start|>system\nReply with <tool_call> and </tool_call><|im_end|>\n' }}{% endif %}"
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HERMES = (  # ChatML added to a base model of Mistral's: its markers are added tokens, and no more
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def llama_3() -> PreTrainedTokenizerFast:
    tokens = ["<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>"]
    return _wrapped(_bytes(), LLAMA_3, special=["<|begin_of_text|>", *tokens], bos=True, eos="<|end_of_text|>")


def glm() -> PreTrainedTokenizerFast:
    special = ["<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"]
    return _wrapped(_bytes(), GLM, special=special, plain=["<think>", "</think>"], eos="<|endoftext|>")


def phi_3(*, normalized: bool = False) -> PreTrainedTokenizerFast:
    roles = [
        _special(f"<|{name}|>", rstrip=True, normalized=normalized) for name in ("assistant", "end", "system", "user")
    ]
    special = ["<s>", "<|endoftext|>", *roles]
    return _wrapped(_pieces(legacy=True), PHI_3, special=special, bos=True, eos="<|endoftext|>")


def mistral() -> PreTrainedTokenizerFast:
    return _wrapped(_pieces(), MISTRAL, special=["<s>", "</s>", "[INST]", "[/INST]"], bos=True, eos="</s>")


def vicuna() -> PreTrainedTokenizerFast:
    return _wrapped(_pieces(), VICUNA, special=["<s>", "</s>"], bos=True, eos="</s>")


def deepseek() -> PreTrainedTokenizerFast:
    plain = ["<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"]
    special = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"]
    return _wrapped(_bytes(), DEEPSEEK, special=special, plain=plain, bos=True, eos=special[1])


def qwen() -> PreTrainedTokenizerFast:
    special, plain = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<tool_call>", "</tool_call>", "<|fim_prefix|>"]
    return _wrapped(_bytes(), QWEN, special=special, plain=plain, eos="<|im_end|>")


def hermes() -> PreTrainedTokenizerFast:
    return _wrapped(_pieces(), HERMES, special=["</s>"], plain=["<|im_start|>", "<|im_end|>"], eos="</s>")


def lowering(plain: list[AddedToken]) -> PreTrainedTokenizerFast:
    tokenizer = _bytes()
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_tokens(plain)
    template = (
        "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    return _wrapped(tokenizer, template, special=["<s>"], eos="<s>")


ALL = {make.__name__: make for make in (llama_3, glm, phi_3, mistral, vicuna, deepseek, qwen, hermes)}


def own_ids(tokenizer: PreTrainedTokenizerFast, conversation, prompt: bool = True) -> list[int]:
    """The ids of `apply_chat_template(tokenize=True)`."""
    messages = [{"role": message.role, "content": message.content} for message in conversation]
    return tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=prompt)["input_ids"]


def _bytes() -> Tokenizer:
    """As Llama 3, GLM, Qwen and DeepSeek have it."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(TEXTS, BpeTrainer(initial_alphabet=alphabet, vocab_size=300, show_progress=False))
    return tokenizer


def _pieces(*, legacy: bool = False) -> Tokenizer:
    """As SentencePiece has it: a mark begins each word, also the first. Legacy: each text after a special token, too."""
    tokenizer = Tokenizer(BPE())
    _mark_words(tokenizer, legacy)
    tokenizer.train_from_iterator(TEXTS, BpeTrainer(vocab_size=90, show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *model["vocab"]]
    merges = [tuple(pair) for pair in model["merges"]]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer.model = BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    space = decoders.Replace("▁", " ")
    tokenizer.decoder = decoders.Sequence([space, decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def _mark_words(tokenizer: Tokenizer, legacy: bool) -> None:
    if legacy:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)


def _special(text: str, *, rstrip: bool = False, normalized: bool = False) -> AddedToken:
    return AddedToken(text, special=True, normalized=normalized, rstrip=rstrip)


def _wrapped(
    tokenizer: Tokenizer,
    template: str,
    *,
    special: list[str | AddedToken],
    plain: list[str] = (),
    bos: bool = False,
    eos: str,
) -> PreTrainedTokenizerFast:
    """`special` tokens, the first of them is bos where there is one; `plain` ones are added but not special."""
    marked = [token if isinstance(token, AddedToken) else _special(token) for token in special]
    tokenizer.add_special_tokens(marked)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in plain])
    names = {"bos_token": marked[0].content} if bos else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=eos, chat_template=template, clean_up_tokenization_spaces=False, **names
    )
