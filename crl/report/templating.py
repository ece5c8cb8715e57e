"""How the templates of this room are rendered."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(*, escaped: bool) -> Environment:
    """`escaped`: values are text in HTML."""
    return Environment(
        loader=PackageLoader("crl.report"),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
