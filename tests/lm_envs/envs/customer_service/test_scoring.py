"""The reward's formula, and what counts for it."""

import math

import pytest

from lm_envs import rewards
from lm_envs.envs.customer_service import scoring
from lm_envs.envs.customer_service.acts import Reading
from lm_envs.envs.customer_service.goals import Goals
from lm_envs.envs.customer_service.rules import Violation
from lm_envs.types import Exchange, Message

from .people import need


def score():
    goals = Goals.__new__(Goals)
    goals.needs = (need(),)
    return scoring.Score(goals)


def judged(signals, *, success, ended=True):
    exchange = Exchange((Message(role="assistant", content="x"),), {"id": "s"}, ended, signals, {"success": float(success)})
    return rewards.score(rewards.resolve("customer_service"), [exchange])[0]


SIGNALS = {"outcome": 1.0, "satisfaction": 0.5, "efficiency": 1.0, "politeness": 0.5, "violation": 0.0, "abandoned": 0.0, "shaping": 0.0}


@pytest.mark.parametrize(
    ("changes", "success", "ended", "expected"),
    [
        ({}, True, True, 0.6 + 0.1 + 0.1 + 0.05),
        ({"satisfaction": 1.0, "politeness": 1.0}, True, True, 1.0),
        ({}, False, True, 0.0),
        ({}, True, False, 0.0),
        ({"violation": -0.4}, False, False, -0.1),
        ({"violation": -1.0, "abandoned": -1.0}, False, True, -0.5),
        ({"shaping": 0.25}, False, False, 0.25),
        ({"violation": -0.1}, True, True, 0.85 - 0.025),
    ],
)
def test_the_formula(changes, success, ended, expected):
    found = judged({**SIGNALS, **changes}, success=success, ended=ended)
    assert found.total == pytest.approx(expected) and math.fsum(found.components.values()) == pytest.approx(expected)
    assert set(found.components) == {*scoring.WEIGHTS, *scoring.CONDUCT}


def test_penalties_add_up_to_one_at_most():
    counted = score()
    counted.broke([Violation("polite", "critical", 0), Violation("give_reason", "minor", 0)])
    assert counted.penalty == pytest.approx(0.5) and counted.violations == 2 and counted.critical == 1
    counted.broke([Violation("polite", "critical", 1)] * 5)
    assert counted.penalty == 1.0


def test_efficiency_falls_from_par_to_twice_as_much():
    counted = score()
    assert counted.efficiency == 1.0
    texts, calls = counted._par
    for _ in range(texts * 2):
        counted.said(Reading(("greet",), words=20), 0)
    for _ in range(calls * 2):
        counted.called(True)
    assert counted.efficiency == pytest.approx(0.0)


def test_politeness():
    counted = score()
    assert counted.politeness == 0.5
    counted.said(Reading(("greet", "ask_order"), words=5), 0)
    counted.said(Reading(("empathise",), words=5), 0)
    assert counted.politeness == 1.0
    counted.said(Reading(("rude",), words=5), 0)
    assert counted.politeness == 0.0


def test_facts_are_counted_without_reasons():
    counted = score()
    counted.said(Reading(("refuse",), frozenset({("reason", "window"), ("days", "30"), ("order", "4411")}), words=9), 1)
    assert (counted.right, counted.wrong) == (1, 1)


def test_metrics_have_the_same_names_always():
    counted = score()
    values = {"success": False, "satisfaction": 0.25, "progress": 0.0, "left": False, "attacked": False, "lost": False}
    names = set(counted.metrics(**values))
    counted.broke([Violation("polite", "critical", 0)])
    assert set(counted.metrics(**values)) == names and counted.metrics(**values)["satisfaction"] == 2.0
