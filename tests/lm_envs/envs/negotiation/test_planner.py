"""The planner against exhaustive search that plays against the opponents themselves."""

from itertools import product

import pytest

from lm_envs.envs.negotiation import bounds
from lm_envs.envs.negotiation.opponent import DEADLINES, GAPS, GREEDIEST, KINDS, OPENINGS, TACTICS, Kind, Opponent
from lm_envs.envs.negotiation.planner import Planner

HALF_STEPS = (*(half / 2 for half in range(2 * GREEDIEST + 4, -2, -1)), None)
STEPS = (*range(GREEDIEST + 1, -1, -1), None)


def exhaustive(kinds, horizon, demands, said=()):
    """Sum over the kinds of the shares that the best play gains; kinds that have done the same so far are told apart by nothing."""
    opponents = [met(kind, said)[0] for kind in kinds]
    best = sum(opponent.offers[-1] / opponent.kind.gap for opponent in opponents)
    if len(said) == horizon:
        return 0.0
    for demand in demands:
        value, groups = 0.0, {}
        for kind in kinds:
            move = met(kind, (*said, demand))[1]
            if move.act == "accept":
                value += move.offer / kind.gap
            elif move.act == "offer":
                groups.setdefault((move.offer, move.last), []).append(kind)
        value += sum(exhaustive(group, horizon, demands, (*said, demand)) for group in groups.values())
        best = max(best, value)
    return best


def met(kind, said):
    opponent, move = Opponent(kind), None
    for demand in said:
        move = opponent.hear(demand)
    return opponent, move


def by_opening(kinds):
    groups = {}
    for kind in kinds:
        groups.setdefault((kind.opening, kind.deadline == 1), []).append(kind)
    return groups.values()


@pytest.mark.parametrize("tactics", [("boulware", "tit-for-tat"), ("linear",), ("conceder", "tit-for-tat"), TACTICS])
@pytest.mark.parametrize(("gaps", "deadlines"), [((4, 7), (2, 3)), ((5, 6, 10), (1, 3)), ((4, 9), (4,))])
def test_the_plan_is_the_best_of_all_plays(tactics, gaps, deadlines):
    kinds = [Kind(*values) for values in product(tactics, gaps, (1, 2), deadlines)]
    expected = sum(exhaustive(group, 3, STEPS) for group in by_opening(kinds)) / len(kinds)
    assert Planner(3, kinds).value() == pytest.approx(expected)


def test_demands_between_steps_gain_nothing():
    kinds = [Kind(*values) for values in product(("linear", "tit-for-tat"), (4, 6), (0,), (2, 3))]
    assert Planner(3, kinds).value() == pytest.approx(exhaustive(kinds, 3, HALF_STEPS) / len(kinds))


@pytest.mark.parametrize("horizon", [1, 2, 5, 8])
def test_playing_the_plan_gains_its_value(horizon):
    kinds = KINDS[::5]
    planner = Planner(horizon, kinds)

    def plan(opponent, last):
        return planner.plan(opponent.offers, last, opponent.demands)[1]

    assert sum(bounds.share(kind, plan, horizon) for kind in kinds) / len(kinds) == pytest.approx(planner.value())


def test_the_true_kind_is_always_possible():
    planner = Planner(8)
    for kind, demand in product(KINDS[::7], (None, 3.7, 9)):
        opponent, last = Opponent(kind), False
        for said in (11.2, demand, 8, demand):
            kinds = planner.possible(opponent.offers, last, opponent.demands)
            assert KINDS.index(kind) in kinds
            assert all(KINDS[at].opening == kind.opening for at in kinds)
            move = opponent.hear(said)
            if move.act != "offer":
                break
            last = move.last


def test_knowing_the_kind_is_worth_something_and_no_strategy_beats_the_plan():
    lines = [line.rsplit(maxsplit=5) for line in list(bounds.report())[1:]]
    shares = {name.strip(): [float(value) for value in values] for name, *values in lines}
    known, best = shares.pop("informed of the kind"), shares.pop("optimal, kind unknown")
    assert known == [0.935, 1.0, 1.0, 1.0, 0.740] and best == [0.912, 0.932, 0.976, 1.0, 0.740]
    assert best[0] == pytest.approx(Planner(8).value(), abs=5e-4)
    assert len(shares) == len(bounds.STRATEGIES) - 1 and max(values[0] for values in shares.values()) == 0.459


# The opponent.


def test_offers_by_time():
    def offers(kind):
        opponent, move = Opponent(kind), None
        while not move or move.act == "offer":
            move = opponent.hear(None)
        assert move.act == "leave" and len(opponent.demands) == kind.deadline
        return opponent.offers

    assert offers(Kind("boulware", 10, 2, 4)) == [-2, -2, -2, 1]
    assert offers(Kind("linear", 10, 2, 4)) == [-2, 1, 4, 7]
    assert offers(Kind("conceder", 10, 2, 4)) == [-2, 4, 7, 8]
    assert offers(Kind("tit-for-tat", 10, 2, 4)) == [-2, -2, -2, -2]


def test_tit_for_tat_gives_what_it_gets():
    opponent = Opponent(Kind("tit-for-tat", 4, 1, 8))
    offers = [opponent.hear(demand).offer for demand in (100, 11, None, 11.5, 9.5, 9.5, 7)]
    assert offers == [-1, 0, 0, 0, 1, 1, 3]
    assert opponent.hear(4).act == "accept"


def test_it_accepts_what_it_would_offer_next_and_takes_no_more_than_it_asks_for():
    kind = Kind("linear", 10, 2, 4)
    assert Opponent(kind).hear(1).act == "accept" and Opponent(kind).hear(1).offer == 1
    assert Opponent(kind).hear(1.01).act == "offer"
    assert Opponent(kind).hear(-50).offer == -2


def test_it_says_which_offer_is_the_last():
    for kind in KINDS:
        opponent = Opponent(kind)
        moves = [opponent.hear(None) for _ in range(kind.deadline)]
        assert [move.last for move in moves] == [*[False] * (kind.deadline - 2), True, False]
        assert moves[-1].act == "leave" and all(move.offer <= kind.gap for move in moves)
        assert opponent.offers == sorted(opponent.offers)


def test_it_accepts_its_limit_at_the_deadline_and_nothing_beyond_it_ever():
    for kind in KINDS:
        if kind.tactic != "tit-for-tat":
            assert met(kind, (None,) * (kind.deadline - 1) + (kind.gap,))[1].act == "accept"
        assert all(met(kind, (None,) * number + (kind.gap + 0.1,))[1].act != "accept" for number in range(kind.deadline))


def test_there_are_kinds_of_all_tactics_gaps_openings_and_deadlines():
    assert len(set(KINDS)) == len(KINDS) == len(TACTICS) * len(GAPS) * len(OPENINGS) * len(DEADLINES)
