"""The pairs, what is made of them, and the command on texts that are written here."""

import json

import numpy as np
import pytest

from benchmarks.__main__ import JUDGES, main
from benchmarks.experiments.judges import analysis, sweep
from lm_envs.assets import AssetError, RatedText
from lm_envs.rewards import Criterion
from lm_envs.rewards.constitution import PRINCIPLES

TEXTS = tuple(
    RatedText(domain, str(number), f"{word} thing {number}", rating)
    for domain in ("film", "news")
    for number in range(6)
    for word, rating in (("good", 2.0), ("bad", -2.0), ("plain", 0.3))
)


def test_authored_pairs_are_whole():
    pairs = sweep.authored_pairs()
    assert set(pairs) == set(PRINCIPLES)
    for some in pairs.values():
        replies = [exchange.reply for pair in some for exchange in pair]
        assert len(some) == 20 and len(set(replies)) == 40 and all(len(exchange.messages) == 2 for pair in some for exchange in pair)


def test_examples_of_criteria_are_not_among_the_pairs():
    users = {pair.better.messages[0]["content"] for some in sweep.authored_pairs().values() for pair in some}
    assert users.isdisjoint(one.user for name in PRINCIPLES for one in Criterion.load(name).examples)


def test_pairs_are_of_one_domain_and_hold_each_text_once(monkeypatch):
    monkeypatch.setattr("lm_envs.assets.hutto_texts", lambda: TEXTS)
    pairs = dict(sweep.rated_pairs(4, np.random.default_rng(0)))
    assert {domain: len(some) for domain, some in pairs.items()} == {"film": 4, "news": 4}
    assert all(pair.better.reply.startswith("good") and pair.worse.reply.startswith("bad") for some in pairs.values() for pair in some)
    assert len({pair.better.reply for pair in pairs["film"]}) == 4
    assert dict(sweep.rated_pairs(4, np.random.default_rng(0))) == pairs != dict(sweep.rated_pairs(4, np.random.default_rng(1)))


def test_wins_ties_and_injection():
    def words(exchanges):
        return [float(len(one.reply.split())) for one in exchanges]

    pairs = [sweep.Pair(sweep._alone(better), sweep._alone(worse)) for better, worse in (("a b", "a"), ("a", "b"), ("a", "a b"))]
    result = sweep.measure("words", "here", words, pairs)
    assert result.wins.tolist() == [1, 0.5, 0] and result.injected.tolist() == [0, 0, 0]


def test_intervals_hold_the_mean():
    wins = np.array([1.0] * 70 + [0.0] * 30)
    low, high = analysis.interval(wins)
    assert low == pytest.approx(0.61, abs=0.02) and high == pytest.approx(0.79, abs=0.02)
    assert analysis.interval(np.ones(5)) == (1, 1)


def test_the_command_writes_a_table(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("lm_envs.assets.hutto_texts", lambda: TEXTS)
    assert main(["judges", "--scorers", "vader", "judge", "--model", "tiny", "--pairs", "3", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert [(row["scorer"], row["on"]) for row in summary["results"]] == [
        ("vader", "film"), ("vader", "news"), ("vader", "all domains"),
        ("judge", "film"), ("judge", "news"), ("judge", "all domains"), *(("judge", name) for name in PRINCIPLES),
    ]  # fmt: skip
    assert summary["results"][0]["accuracy"] == 1 and summary["machine"]["python"]
    assert (tmp_path / "table.md").read_text().count("\n") == 11
    assert "| vader | film, 3 | 1.00 [1.00, 1.00] |" in capsys.readouterr().out


def test_data_that_cannot_be_had_are_one_line(monkeypatch, tmp_path, capsys):
    def fail():
        raise AssetError("no network")

    monkeypatch.setattr("lm_envs.assets.hutto_texts", fail)
    assert main(["judges", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "python -m benchmarks judges: no network\n"


def test_the_command_knows_all_scorers():
    assert sweep.Study().scorers == JUDGES
