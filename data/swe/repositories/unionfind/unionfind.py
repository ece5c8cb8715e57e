"""Which things belong together, directly or through others."""


class Groups:
    def __init__(self):
        self._parent = {}

    def find(self, item):
        """The representative of the item's group."""
        self._parent.setdefault(item, item)
        while self._parent[item] != item:
            item = self._parent[item]
        return item

    def join(self, one, other):
        self._parent[self.find(one)] = self.find(other)

    def together(self, one, other):
        return self.find(one) == self.find(other)

    def count(self):
        return len({self.find(item) for item in self._parent})
