"""Roman numerals."""

_SYMBOLS = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"),
    (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)


def to_roman(number):
    if not 0 < number < 4000:
        raise ValueError(f"{number} has no Roman numeral")
    text = ""
    for value, symbol in _SYMBOLS:
        while number >= value:
            text += symbol
            number -= value
    return text


def from_roman(text):
    number = 0
    for value, symbol in _SYMBOLS:
        while text.startswith(symbol):
            number += value
            text = text[len(symbol):]
    if text:
        raise ValueError(f"not a Roman numeral: {text}")
    return number
