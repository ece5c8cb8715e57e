"""Records survive on disk until they are delivered, whatever dies in between."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.tracking.records import Damaged, Method, OtherRelease, Record, from_line, to_line
from flows.tracking.spool import LINKED_BYTES, Journal, journals

texts = st.text(max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
recorded = st.builds(Record, texts, st.sampled_from(get_args(Method)), st.dictionaries(texts, values, max_size=4))


def measurement(step: int) -> Record:
    return Record(f"id-{step}", "log_batch", {"run_id": "run", "metrics": [["a", float(step), 1, step]]})


def step_of(line: bytes) -> int:
    return from_line(line).kwargs["metrics"][0][3]


@given(recorded)
def test_a_record_reads_back_as_it_was_written_on_one_line(record):
    line = to_line(record)
    assert line.count(b"\n") == 1
    assert from_line(line) == record


@settings(max_examples=30)
@given(count=st.integers(1, 6), sent=st.integers(0, 6), torn=st.integers(0, 60))
def test_after_a_kill_at_any_byte_exactly_the_whole_undelivered_records_are_left(tmp_path_factory, count, sent, torn):
    folder = tmp_path_factory.mktemp("spool")
    journal = Journal.create(folder)
    for step in range(count):
        journal.append(measurement(step))
    for _, position in list(journal.unsent())[: min(sent, count)]:
        journal.mark_sent(position)
    with journal.file.open("ab") as stream:
        stream.write(to_line(measurement(99))[:torn])
    left_behind = Journal(journal.file)
    last = [99] if torn >= len(to_line(measurement(99))) else []
    assert [step_of(line) for line, _ in left_behind.unsent()] == [*range(min(sent, count), count), *last]


def test_a_journal_can_be_claimed_only_once_its_process_is_gone(tmp_path):
    script = (
        "import sys, time; from pathlib import Path\n"
        "from flows.tracking.spool import Journal; from flows.tracking.records import Record\n"
        "journal = Journal.create(Path(sys.argv[1])); journal.append(Record('i', 'log_batch', {'run_id': 'r'}))\n"
        "print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        [journal] = journals(tmp_path)
        assert not journal.claim()
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert journal.claim()
        assert [from_line(line).kwargs for line, _ in journal.unsent()] == [{"run_id": "r"}]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_kept_files_are_as_they_were_when_recorded(tmp_path):
    journal = Journal.create(tmp_path / "spool")
    source = tmp_path / "plot.csv"
    source.write_text("round 1")
    kept = journal.keep(source, "plot")
    source.write_text("round 2")
    assert kept.read_text() == "round 1"
    journal.forget(kept)
    assert not kept.exists()
    assert source.exists()


def test_large_weights_are_not_copied(tmp_path):
    journal = Journal.create(tmp_path / "spool")
    model = tmp_path / "model"
    model.mkdir()
    with (model / "weights").open("wb") as stream:
        stream.truncate(LINKED_BYTES + 1)
    kept = journal.keep(model, "model")
    assert os.stat(kept / "weights").st_ino == os.stat(model / "weights").st_ino


@pytest.mark.parametrize("torn", [b"", b'{"schema": 2, "id"'])
def test_a_delivered_journal_leaves_nothing_behind(tmp_path, torn):
    journal = Journal.create(tmp_path)
    journal.append(measurement(0))
    for _, position in journal.unsent():
        journal.mark_sent(position)
    with journal.file.open("ab") as stream:
        stream.write(torn)  # of a record that a kill left half-written
    journal.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json\n", "no JSON"),
        (b"[1]\n", "no record"),
        (b"{}\n", "schema = None"),
        (b'{"schema": 2, "id": "1", "method": "delete_run", "kwargs": {}}\n', "method: "),
        (b'{"schema": 2, "id": "1", "method": "log_batch", "kwargs": {}, "run": "r"}\n', "run: "),
        (b'{"schema": 2, "id": 1, "method": "log_batch", "kwargs": {}}\n', "id: "),
    ],
)
def test_a_line_that_is_no_record_says_why(line, reason):
    with pytest.raises(Damaged, match=reason):
        from_line(line)


@pytest.mark.parametrize("line", [b'{"id": "1", "run": "r", "kind": "measured"}\n', b'{"schema": 3, "call": "log"}\n'])
def test_a_line_of_another_release_is_told_from_a_damaged_one(line):
    with pytest.raises(OtherRelease, match=r"schema = [13], this release reads 2"):
        from_line(line)


def test_journals_are_read_oldest_first(tmp_path):
    made = [Journal.create(tmp_path) for _ in range(3)]
    for journal in made:
        journal.append(measurement(0))
    assert [journal.file for journal in journals(tmp_path)] == [journal.file for journal in made]
    assert all(isinstance(journal.file, Path) for journal in made)
