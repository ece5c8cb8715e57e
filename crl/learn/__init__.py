"""Learning, in the order of the data: what is trainable (`sequences`), what it is worth (`advantages`; `rewards`,
`buffer`), both models' `batches`, the tensors of a pass (`collate`), `objectives`, the one `trainer` of both models, here
or in a `group` of processes, and the `guard` that takes an update back."""
