"""Which wrapper shows which family in the style `slots`."""

from crl.envs.contract import TextEnv
from crl.envs.registry import family_name
from crl.named import Choice

WRAPPERS = {  # TextEnv -> TextEnv
    "minihack": "crl.tiny.slots.minihack:MiniHackSlots",
    "sokoban": "crl.tiny.slots.sokoban:SokobanSlots",
    "alfworld": "crl.tiny.slots.alfworld:AlfWorldSlots",
    "webshop": "crl.tiny.slots.webshop:WebShopSlots",
    "swe": "crl.tiny.slots.swe:SweSlots",
}


def in_slots(family: str, env: TextEnv) -> TextEnv:
    """The environment in its family's wrapper; one without a wrapper as it is: it was told the style when it was made."""
    wrappers = Choice("slots wrapper", "crl.slots", lambda: WRAPPERS)
    name = family_name(family)
    return wrappers.load(name, "family")(env) if name in wrappers.known() else env
