"""Fill {name} places in a text."""

import re

_PLACE = re.compile(r"\{(\w+)\}")


class MissingValue(KeyError):
    """A place has no value."""


def render(template, values, default=None):
    """The template with its places filled. `{{` and `}}` stand for braces."""
    text = template.replace("{{", "\0").replace("}}", "\1")

    def fill(match):
        value = values.get(match[1])
        if value is None:
            value = default
        if value is None:
            raise MissingValue(match[1])
        return str(value)

    return _PLACE.sub(fill, text).replace("\0", "{").replace("\1", "}")
