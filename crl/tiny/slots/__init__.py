"""Which wrapper shows which family in the style `slots`."""

from crl.envs.contract import TextEnv
from crl.envs.registry import family_name
from crl.named import known, load_named

GROUP = "crl.slots"
WRAPPERS = {  # TextEnv -> TextEnv
    "minihack": "crl.tiny.slots.minihack:MiniHackSlots",
    "sokoban": "crl.tiny.slots.sokoban:SokobanSlots",
    "alfworld": "crl.tiny.slots.alfworld:AlfWorldSlots",
    "webshop": "crl.tiny.slots.webshop:WebShopSlots",
    "swe": "crl.tiny.slots.swe:SweSlots",
}


def in_slots(family: str, env: TextEnv) -> TextEnv:
    """The environment in its family's wrapper; one without a wrapper as it is: it was told the style when it was made."""
    name = family_name(family)
    if name not in known(WRAPPERS, GROUP):
        return env
    return load_named(name, WRAPPERS, field="family", what="slots wrapper", group=GROUP)(env)
