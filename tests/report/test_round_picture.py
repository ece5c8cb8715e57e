"""The README's picture is what its command draws."""

from pathlib import Path
from xml.etree import ElementTree

from docs.pictures.round import draw

COMMITTED = Path(__file__).parents[2] / "docs" / "pictures" / "round.svg"


def test_the_committed_picture_is_what_the_command_draws():
    remedy = "Remedy: run `python docs/pictures/round.py` and commit the result"
    assert COMMITTED.read_text(encoding="utf-8") == draw(), remedy


def test_the_picture_is_one_standalone_svg_for_light_and_dark():
    root = ElementTree.fromstring(draw())
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = ElementTree.tostring(root, encoding="unicode")
    assert "prefers-color-scheme: dark" in text
    assert "#0100" not in text  # every placeholder colour became a colour of the theme
