"""Learning, in the order of the data: what is trainable (`sequences`), what it is worth (`advantages`, `credit`,
`buffer`), batches (`grpo`, `cispo`), losses and objectives, and the one `trainer` of both models."""
