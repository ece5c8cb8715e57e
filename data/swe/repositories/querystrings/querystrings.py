"""Query strings: a=1&b=2."""

from urllib.parse import quote, unquote


def parse_query(text):
    """{name: [values in order]}"""
    values = {}
    for part in text.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        values.setdefault(unquote(name), []).append(unquote(value))
    return values


def build_query(values):
    parts = []
    for name, items in values.items():
        for item in items:
            parts.append(f"{quote(name)}={quote(item)}")
    return "&".join(parts)
