"""Models are built one at a time in a process, whichever thread asks."""

import threading

# While it loads a model, transformers replaces functions of its own and torch's default dtype for the whole process, and
# puts back what it found. Two threads at once leave the replacements in place for good: from then on every model
# with tied embeddings comes out with an output layer of noise, in silence. vLLM sets the default dtype as well.
BUILDING = threading.RLock()
