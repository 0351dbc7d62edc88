import json
import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.annotation.log import (
    CHOICES,
    MAX_SECONDS,
    Judgement,
    Judgements,
    Log,
    LogError,
    Retraction,
    annotator_name,
    from_line,
    read_log,
    to_line,
)

PAIRS = ["0" * 16, "f" * 16, "0123456789abcdef"]
NAMES = st.text(min_size=1, max_size=70).map(lambda text: _name_or(text, "Zoë"))
IDS = st.text("0123456789abcdef", min_size=16, max_size=16)


def _name_or(text, other):
    try:
        return annotator_name(text)
    except ValueError:
        return other


JUDGEMENTS = st.builds(
    Judgement.now,
    pair=IDS,
    annotator=NAMES,
    choice=st.sampled_from(CHOICES),
    left=st.sampled_from("ab"),
    seconds=st.floats(0, MAX_SECONDS) | st.integers(0, int(MAX_SECONDS)),
)


def judged(pair=PAIRS[0], annotator="Ada", choice="a", left="a", seconds=1.0):
    return Judgement.now(pair, annotator, choice, left, seconds)


# lines


@given(JUDGEMENTS)
def test_records_come_back_from_their_lines(judgement):
    for record in (judgement, Retraction.now(judgement)):
        line = to_line(record)
        assert line.count(b"\n") == 1 and line.endswith(b"\n")
        assert from_line(line) == record


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_an_error(line):
    with pytest.raises(ValueError):
        from_line(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2)
)


@given(JUDGEMENTS, st.sampled_from(["version", "kind", "id", "pair", "annotator", "choice", "left", "seconds", "time"]), JSON)
def test_each_field_is_checked(judgement, field, value):
    row = json.loads(to_line(judgement))
    try:
        record = from_line(json.dumps({**row, field: value}).encode())
    except ValueError:
        pass
    else:
        assert json.loads(to_line(record))[field] == value
    del row[field]
    with pytest.raises(ValueError):
        from_line(json.dumps(row).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"kind": "retractions"},
        {"kind": ["judgement"]},
        {"id": "0" * 15},
        {"pair": "G" * 16},
        {"annotator": " Ada"},
        {"annotator": "A\u202eda"},
        {"choice": "c"},
        {"left": "tie"},
        {"seconds": -1},
        {"seconds": True},
        {"seconds": float("nan")},
        {"seconds": 10**400},
        {"time": "yesterday"},
        {"time": "2026-11-30T10:00:00+02:00"},
    ],
)
def test_wrong_fields_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        from_line(json.dumps({**json.loads(to_line(judged())), **change}).encode())


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"version": 1' + b"0" * 5000 + b"}", b"\xff\xfe", b"null", b"\0" * 50])
def test_hostile_lines_are_errors(line):
    with pytest.raises(ValueError):
        from_line(line)


def test_names_are_kept_one_way():
    assert annotator_name("  Zoe\u0308 \t van  Dijk ") == "Zoë van Dijk"
    for bad in ("", " \n", "x" * 65, "a\x00b", "a\u202eb", "a\ud800b", "a\u200bb"):
        with pytest.raises(ValueError, match="a name"):
            annotator_name(bad)


# what counts


def test_a_retraction_takes_back_its_own_judgement_alone():
    first, second, other = judged(), judged(PAIRS[1]), judged(annotator="Bo", choice="b")
    forged = Retraction(first.id, "Bo", first.time)
    counted = Judgements([first, second, other, forged, Retraction.now(judged())])
    assert counted.all() == [first, second, other] and counted.retracted == 0
    counted.add(Retraction.now(first))
    counted.add(Retraction.now(first))
    assert counted.all() == [second, other] and counted.retracted == 1


def test_the_later_judgement_of_a_pair_counts():
    first, second = judged(choice="a"), judged(choice="b")
    assert Judgements([first, second]).all() == [second]
    assert Judgements([first, second, Retraction.now(second)]).all() == []
    assert Judgements([first, first, second, first]).of("Ada") == {PAIRS[0]: first}, "a line that was written again is as good as any"


@given(st.lists(st.tuples(st.sampled_from(["Ada", "Bo"]), st.sampled_from(PAIRS), st.booleans()), max_size=30))
def test_what_counts_is_what_a_simple_reading_gives(steps):
    counted, expected = Judgements(), {}
    for annotator, pair, undo in steps:
        mine = [key for key in expected if key[0] == annotator]
        if undo and mine:
            counted.add(Retraction.now(expected.pop(mine[-1])))
        elif not undo:
            expected.pop((annotator, pair), None)
            expected[annotator, pair] = judged(pair, annotator)
            counted.add(expected[annotator, pair])
        assert counted.all() == list(expected.values())
        assert list(counted.of(annotator).values()) == [one for (name, _), one in expected.items() if name == annotator]


# the file


def test_a_file_is_only_ever_appended_to(tmp_path):
    path = tmp_path / "j.jsonl"
    content = b""
    for _ in range(2):
        with Log(path) as log:
            for record in (first := judged(), judged(PAIRS[1]), Retraction.now(first)):
                log.append(record)
                assert path.read_bytes().startswith(content) and path.read_bytes().endswith(b"\n")
                content = path.read_bytes()
    assert len(content.splitlines()) == 6


@settings(max_examples=30, deadline=None)
@given(st.lists(JUDGEMENTS, min_size=1, max_size=4, unique_by=lambda one: (one.annotator, one.pair)), st.data())
def test_half_a_line_loses_nothing_else(tmp_path_factory, records, data):
    """The file cut anywhere, as a kill may leave it."""
    path = tmp_path_factory.mktemp("log") / "j.jsonl"
    lines = [to_line(record) for record in records]
    cut = data.draw(st.integers(0, sum(map(len, lines))))
    path.write_bytes(b"".join(lines)[:cut])
    ends = [sum(map(len, lines[: place + 1])) for place in range(len(lines))]
    whole = [record for record, end in zip(records, ends, strict=True) if cut >= end - 1]  # all but the line feed is enough
    torn = cut not in {0, *ends, *(end - 1 for end in ends)}
    with Log(path) as log:
        assert log.judgements.all() == whole
        assert len(log.problems) == torn and all("its writer was stopped" in problem for problem in log.problems)
        log.append(new := judged(annotator="after the kill"))
    found, problems = read_log(path)
    assert found == [*whole, new] and len(problems) == torn and path.read_bytes().startswith(b"".join(lines)[:cut])


def test_unreadable_lines_are_named_and_passed_over(tmp_path):
    path = tmp_path / "j.jsonl"
    path.write_bytes(to_line(judged()) + b"nonsense\n\n" + b'{"version": 9}\n' + to_line(judged(PAIRS[1])) + b'{"vers')
    records, problems = read_log(path)
    assert [record.pair for record in records] == PAIRS[:2]
    assert problems == ["line 2: not JSON", "line 4: version must be 1", "line 6: not JSON (the last line: its writer was stopped)"]


def test_a_write_that_fails_does_not_count_and_spoils_nothing(tmp_path, monkeypatch):
    with Log(tmp_path / "j.jsonl") as log:
        log.append(first := judged())
        write = os.write
        monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))  # as on a full disk
        with pytest.raises(OSError, match="a part of a line"):
            log.append(judged(PAIRS[1]))
        monkeypatch.undo()
        assert log.judgements.all() == [first]
        log.append(second := judged(PAIRS[2]))
    records, problems = read_log(tmp_path / "j.jsonl")
    assert records == [first, second] and len(problems) == 1


def test_one_process_writes_at_a_time(tmp_path):
    path = tmp_path / "j.jsonl"
    script = f"from agents.annotation.log import Log, LogError\ntry:\n Log({str(path)!r})\nexcept LogError as error:\n print(error)"
    with Log(path):
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "is open in another process" in other.stdout, other.stderr
    Log(path).close()


def test_a_file_that_cannot_be_is_one_line(tmp_path):
    with pytest.raises(LogError, match="can't read"):
        read_log(tmp_path / "none.jsonl")
    with pytest.raises(LogError, match="can't read"):
        read_log("\0")
    with pytest.raises(LogError, match="can't write"):
        Log(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(LogError, match="can't write"):
        Log(tmp_path / "file" / "j.jsonl")


def test_many_lines_of_noise_hide_no_record(tmp_path):
    rng = random.Random(0)
    records = [judged(pair) for pair in PAIRS]
    noise = [bytes(rng.choices([9, 13, 32, 34, 91, 123, 200], k=20)) + b"\n" for _ in range(200)]
    lines = [*map(to_line, records), *noise]
    rng.shuffle(lines)
    (tmp_path / "j.jsonl").write_bytes(b"".join(lines))
    found, _ = read_log(tmp_path / "j.jsonl")
    assert {record.id for record in found} == {record.id for record in records}
