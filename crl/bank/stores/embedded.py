"""No store beside the run's own index: nodes are sent a snapshot."""


class EmbeddedStore:
    remote, package = False, None
