"""All that only models trained from scratch need; nothing below this room knows of it but by name.

In the order of reading: `model` and `tokenizer`; `prompts`, a few words each; `slots`, the wrappers that turn an
environment into one sentence and a dozen words; `scripts`, policies that read such sentences; `casting`, which script
plays which episode; `corpus` and `taught_replies`, what the tokenizer and the extractor learn from; `warm_start`.
"""
