from money.amount import Money

__all__ = ["Money"]
