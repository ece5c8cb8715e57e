"""Titles as parts of an address."""

import re
import unicodedata


def slugify(title, limit=40):
    """Lower-case ASCII words joined by hyphens, at most `limit` characters, cut between words."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if len(slug) <= limit:
        return slug
    return slug[:limit].rsplit("-", 1)[0]
