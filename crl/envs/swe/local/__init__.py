"""The local task set: small repositories with one planted bug each, so that the whole path runs without a download."""
