"""A world of hidden rules: which door leads out depends on the kind of room, and only trying tells."""
