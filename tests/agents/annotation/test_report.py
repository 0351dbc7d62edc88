import io
import json

from rich.console import Console

from agents.annotation.log import Judgement
from agents.annotation.pairs import Pair
from agents.annotation.report import export, preferences, report, show

PAIRS = [Pair(f"p{n}", f"a{n}", f"b{n}") for n in range(5)]


def judgements(**answers):
    """Of each annotator, a letter for each pair: a, b, t(ie), s(kip), or - for none; reply a always stands on the left."""
    names = {"a": "a", "b": "b", "t": "tie", "s": "skip"}
    return [
        Judgement.now(pair.id, name, names[letter], "a", float(place + 1))
        for name, letters in answers.items()
        for place, (pair, letter) in enumerate(zip(PAIRS, letters, strict=True))
        if letter != "-"
    ]


def shown(found, width=140):
    console = Console(file=io.StringIO(), width=width)
    show(found, console)
    return console.file.getvalue()


def test_counts_sides_and_seconds():
    found = report(judgements(Ada="abats", Bo="bb---"), retracted=2, problems=["line 3: not JSON"])
    ada, bo = found.annotators
    assert ada.choices == {"a": 2, "b": 1, "tie": 1, "skip": 1} and ada.left == 2 and ada.seconds == 3.0
    assert ada.left_share.mean == 2 / 3 and 0 < ada.left_share.low < 2 / 3 < ada.left_share.high < 1
    assert (bo.left, bo.left_share.mean, bo.seconds) == (0, 0.0, 1.5)
    assert found.everybody.choices == {"a": 2, "b": 3, "tie": 1, "skip": 1} and found.everybody.left_share.mean == 0.4
    text = shown(found)
    for part in ("Ada", "all", "0.67", "2 judgements were taken back", "line 3: not JSON"):
        assert part in text


def test_agreement_is_of_pairs_that_both_judged():
    found = report(judgements(Ada="abats", Bo="abbt-", Cy="sssss"))
    pairs = {(one.first, one.second): one.kappa for one in found.agreement}
    ada_bo = pairs["Ada", "Bo"]  # a b a t against a b b t: 3 of 4 agree, by chance (2·1 + 1·2 + 1·1)/16
    assert ada_bo.pairs == 4 and ada_bo.observed == 0.75 and abs(ada_bo.kappa - (0.75 - 5 / 16) / (1 - 5 / 16)) < 1e-12
    assert pairs["Ada", "Cy"].pairs == 0 and pairs["Ada", "Cy"].kappa is None
    assert "undefined" in shown(found) and "0.64" in shown(found)


def test_preference_is_a_mean_over_pairs():
    found = report(judgements(Ada="bbats", Bo="a----"))  # pair means: 0.5 1 0 0.5
    assert found.pairs == 4 and found.preference.mean == 0.5 and found.preference.low < 0.5 < found.preference.high
    assert report([]).preference is None and report([]).everybody is None
    assert "annotator" in shown(report([]))


def test_preferences_are_the_majoritys(tmp_path):
    made = judgements(Ada="abta-", Bo="abtbb", Cy="b-ass")
    rows = preferences(PAIRS, made)
    assert rows == [
        {"prompt": "p0", "chosen": "a0", "rejected": "b0"},
        {"prompt": "p1", "chosen": "b1", "rejected": "a1"},
        {"prompt": "p2", "chosen": "a2", "rejected": "b2"},
        {"prompt": "p4", "chosen": "b4", "rejected": "a4"},
    ]
    export(rows, tmp_path / "p.jsonl")
    assert [json.loads(line) for line in (tmp_path / "p.jsonl").read_text(encoding="utf-8").splitlines()] == rows


def test_a_report_is_plain_data_and_safe_in_a_terminal():
    hostile = Judgement.now(PAIRS[0].id, "[red]Ada[/red]", "a", "a", 1.0)
    found = report([hostile, *judgements(Bo="a----")], problems=[f"line {n}: \x1b[2J" for n in range(9)])
    assert json.loads(json.dumps(found.to_json()))["agreement"][0]["kappa"]["pairs"] == 1
    text = shown(found)
    assert "\x1b" not in text and "[red]Ada[/red]" in text and "and 4 more such lines" in text
