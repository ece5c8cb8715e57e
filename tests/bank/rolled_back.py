"""Rules of state machines whose bank is rolled back, as a run that resumes from a checkpoint does."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from crl.bank.bank import Bank


class RolledBack(RuleBasedStateMachine):
    bank: Bank
    positions: list[int]  # of the ledger, oldest first; begins with 0, where it is empty

    @rule()
    def checkpoint(self):
        self.positions.append(self.bank.position)

    @rule(index=st.integers(0, 20))
    def roll_back(self, index):
        self.positions = self.positions[: 1 + index % len(self.positions)]
        self.bank.truncate_to(self.positions[-1])
