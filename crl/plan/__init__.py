"""`crl plan`: memory, seconds and money of a round from parameters alone, before anything is loaded.

shapes (what a model is) ─► memory (what it takes) ─┐
work (tokens of a round) ─► speed (seconds) ────────┴─► plan (who lies where, what does not fit, what it costs)
"""
