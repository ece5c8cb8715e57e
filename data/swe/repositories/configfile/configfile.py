"""Configuration files: [section] headers and key = value lines."""


def load(text, defaults={}):
    """{section: {key: value}}; `defaults` fill in what a section does not set."""
    sections = {}
    current = defaults = dict(defaults)
    for line in text.splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line.startswith("["):
            current = sections.setdefault(line[1:-1], {})
            continue
        key, _, value = line.partition("=")
        current[key.strip()] = value.strip()
    return {name: {**defaults, **section} for name, section in sections.items()}
