"""Mean and variance of a stream, one value at a time."""


class RunningStats:
    def __init__(self):
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, value):
        self.count += 1
        delta = value - self.mean
        self.mean += delta / self.count
        self._squares += delta * (value - self.mean)

    def variance(self):
        """Sample variance (n - 1); 0 with fewer than two values."""
        if self.count < 2:
            return 0.0
        return self._squares / (self.count - 1)
