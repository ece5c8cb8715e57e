"""A family whose import takes longer than a call may."""

import time

from tests.envs.toy_envs import Corridor

time.sleep(2.0)


class SlowlyImported(Corridor):
    """Quick once it is imported."""
