"""A run taken back to an earlier round, from which it goes on: weights, buffer and bank as that round committed them."""

from crl.bank.ledger import Ledger
from crl.episode import journal
from crl.errors import BankError
from crl.files import discard, read_json, round_folder, rounds_in, write_json
from crl.round.state import StateFolder

NO_ROUND = -1  # before the first: a run begins anew


def position_of(state: StateFolder, round_: int, newest: int) -> int:
    """The bank's last event in this round's checkpoint; the ledger ends with event `newest`.

    Raises BankError unless the run can go on from there: a bank without the weights that belong to it is no state of a run.
    """
    checkpoints = rounds_in(state.checkpoints)
    positions = {NO_ROUND: 0, **{each: state.manifest(each)["bank_position"] for each in checkpoints}}
    possible = [each for each, position in positions.items() if position <= newest]
    if round_ not in possible:
        kept = read_json(state.path / "run.json")["config"]["rounds"]["keep_checkpoints"]
        raise BankError(
            f"--round {round_}: {state.checkpoints} holds no checkpoint of that round, so the run could not go on with its "
            f"bank (rounds.keep_checkpoints = {kept}). Remedy: --round {' or '.join(map(str, possible[1:] or possible))}; "
            f"{NO_ROUND} begins anew. The bank after any round, to read: {state.snapshots}"
        )
    return positions[round_]


def position_in(ledger: Ledger, round_: int) -> int:
    """The last event of this round in a bank that belongs to no run. Raises BankError where it has nothing of the round."""
    first, last = ledger.rounds()
    if round_ != NO_ROUND and not first <= round_ <= last:
        raise BankError(
            f"--round {round_}: the bank's events are of rounds {first} to {last}. Remedy: one of them, or {NO_ROUND}"
        )
    return ledger.position_after(round_)


def last_commit(state: StateFolder) -> tuple[int, int]:
    """The last committed round, and the bank's last event in its checkpoint. Raises BankError before the first commit."""
    if not (rounds := rounds_in(state.checkpoints)):
        raise BankError(
            f"{state.checkpoints}: no round was committed, so the run begins with an empty bank. Remedy: let it play one first"
        )
    return rounds[-1], state.manifest(rounds[-1])["bank_position"]


def move_last_commit(state: StateFolder, position: int) -> None:
    """Let the last committed round end with this event of the bank: a run that goes on keeps what was done by hand."""
    round_, _ = last_commit(state)
    write_json(
        round_folder(state.checkpoints, round_) / "manifest.json", state.manifest(round_) | {"bank_position": position}
    )


def forget_after(state: StateFolder, round_: int) -> None:
    """Remove what later rounds left besides the ledger, newest first: after a kill in it a run goes on, or is rolled back again."""
    journal.forget_after(state.episodes, round_)
    for folder in (state.checkpoints, state.snapshots):
        for later in reversed(rounds_in(folder)):
            if later > round_:
                state.finished.unlink(missing_ok=True)
                discard(round_folder(folder, later))
