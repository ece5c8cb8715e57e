"""An order in which every task comes after what it needs: {task: needs}."""


class CycleError(ValueError):
    """Tasks need each other."""


def build_order(needs):
    order = []
    visiting = set()

    def visit(task):
        if task in order:
            return
        if task in visiting:
            raise CycleError(task)
        visiting.add(task)
        for needed in sorted(needs.get(task, ())):
            visit(needed)
        order.append(task)

    for task in sorted(needs):
        visit(task)
    return order
