"""Arithmetic expressions as tokens."""

OPERATORS = "+-*/()"


def tokenize(text):
    """Numbers as float or int, operators as strings. Raises ValueError on anything else."""
    tokens = []
    position = 0
    while position < len(text):
        letter = text[position]
        if letter.isspace():
            position += 1
        elif letter in OPERATORS:
            tokens.append(letter)
            position += 1
        elif letter.isdigit():
            end = position
            while end < len(text) and (text[end].isdigit() or text[end] == "."):
                end += 1
            number = text[position:end]
            tokens.append(float(number) if "." in number else int(number))
            position = end
        else:
            raise ValueError(f"unexpected {letter!r} at {position}")
    return tokens
