"""Try again when a call fails."""

import time
from functools import wraps


def retry(attempts=3, wait_s=0.1, factor=2, errors=(Exception,), sleep=time.sleep):
    """Decorator: call up to `attempts` times; the pause grows by `factor`. The last error is raised."""

    def decorate(function):
        @wraps(function)
        def call(*args, **kwargs):
            pause_s = wait_s
            for attempt in range(attempts):
                try:
                    return function(*args, **kwargs)
                except errors:
                    if attempt == attempts - 1:
                        raise
                    sleep(pause_s)
                    pause_s *= factor

        return call

    return decorate
