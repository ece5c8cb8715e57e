"""A model's own settings for generation, which transformers loads as they are and saves only when they validate.

Nothing here samples by them: a run's own parameters do. But who loads a trained model elsewhere generates by them.
"""

from copy import deepcopy

from transformers import GenerationConfig

_SWITCHES = ("do_sample", "num_beams", "use_cache", "return_dict_in_generate")  # the others are valid or not by these


def repaired(settings: GenerationConfig) -> tuple[GenerationConfig, str]:
    """Settings that can be saved, and what was changed in them ("" where nothing was).

    Settings of sampling without `do_sample` (Llama-2-chat, Vicuna) get it: that is how such models are meant to be used.
    What is valid in no way is left out. A temperature of 0 means the likeliest token: it validates, but `generate` divides by it.
    """
    if isinstance(settings.temperature, int | float) and settings.temperature <= 0:
        greedy = deepcopy(settings)
        greedy.do_sample, greedy.temperature = False, None
        kept, told = repaired(greedy)
        first = f"do_sample: false in place of temperature = {settings.temperature}"
        return kept, "; ".join(filter(None, [first, told]))
    if _validates(settings):
        return settings, ""
    kept, left_out = _without_faults(settings)
    if settings.do_sample is None:
        sampling = deepcopy(settings)
        sampling.do_sample = True
        more, fewer_out = _without_faults(sampling)
        if len(fewer_out) < len(left_out):
            names = ", ".join(sorted(set(left_out) - set(fewer_out)))
            return more, "; ".join(filter(None, [f"do_sample: true added, which {names} need", _told(fewer_out)]))
    return kept, _told(left_out)


def _without_faults(settings: GenerationConfig) -> tuple[GenerationConfig, dict[str, object]]:
    """A copy with every setting that validates beside those before it, and the others by name."""
    given, kept, default = settings.to_diff_dict(), deepcopy(settings), GenerationConfig()
    names = sorted(given, key=lambda name: name not in _SWITCHES)
    for name in names:
        setattr(kept, name, getattr(default, name, None))
    left_out = {}
    for name in names:
        setattr(kept, name, given[name])
        if not _validates(kept):
            left_out[name] = given[name]
            setattr(kept, name, getattr(default, name, None))
    return kept, left_out


def _validates(settings: GenerationConfig) -> bool:
    try:
        settings.validate(strict=True)
    except ValueError:
        return False
    return True


def _told(left_out: dict[str, object]) -> str:
    return "left out: " + ", ".join(f"{name} = {value!r}" for name, value in left_out.items()) if left_out else ""
