"""Learning, in the order of the data: what is trainable (`sequences`), what it is worth (`advantages` in
`subgroups`; `rewards`, `credit`, `buffer`), `actor_batch` and `extractor_batch`, `losses` and `objectives`, and the one
`trainer` of both models."""
