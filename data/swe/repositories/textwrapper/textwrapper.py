"""Break a paragraph into lines."""


def wrap(text, width):
    """Lines of at most `width` characters; only a word that is longer by itself exceeds it."""
    if width < 1:
        raise ValueError("width must be at least 1")
    lines = []
    line = ""
    for word in text.split():
        if not line:
            line = word
        elif len(line) + 1 + len(word) <= width:
            line += " " + word
        else:
            lines.append(line)
            line = word
    if line:
        lines.append(line)
    return lines
