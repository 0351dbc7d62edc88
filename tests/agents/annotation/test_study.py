import pytest

from agents.annotation.log import Log, read_log
from agents.annotation.pairs import Pair
from agents.annotation.study import HOLD, Conflict, Study

PAIRS = [Pair(f"prompt {n}", f"first {n}", f"second {n}") for n in range(40)]


@pytest.fixture
def log(tmp_path):
    with Log(tmp_path / "j.jsonl") as log:
        yield log


def finish(study, annotator, answer="left"):
    """Judge all that is left; the pairs' ids in their order."""
    order = []
    while (state := study.state(annotator)).pair:
        order.append(state.pair.id)
        study.judge(annotator, state.pair.id, answer, 1.0)
    return order


def test_each_annotator_has_an_order_and_sides_of_their_own_that_stay(log):
    study = Study(PAIRS, log)
    orders = {name: finish(study, name) for name in ("Ada", "Bo")}
    assert sorted(orders["Ada"]) == sorted(orders["Bo"]) == sorted(study.pairs) and orders["Ada"] != orders["Bo"]
    again = Study(list(reversed(PAIRS)), log)
    assert again._order("Ada") == orders["Ada"], "wherever the pairs stand in the file"
    assert Study(PAIRS, log, seed=1)._order("Ada") != orders["Ada"]
    more = Study([*PAIRS, Pair("new", "a", "b")], log)
    assert [pair for pair in more._order("Ada") if pair in study.pairs] == orders["Ada"], "pairs that are added move none"
    sides = {name: [study.side(name, pair) for pair in study.pairs] for name in ("Ada", "Bo")}
    assert sides["Ada"] != sides["Bo"] and all(10 <= of.count("a") <= 30 for of in sides.values())


def test_an_answer_is_kept_as_a_choice(log):
    study = Study(PAIRS, log)
    for answer in ("left", "right", "tie", "skip"):
        pair = study.state("Ada").pair
        study.judge("Ada", pair.id, answer, 1.23456)
        kept = log.judgements.all()[-1]
        other = {"a": "b", "b": "a"}[kept.left]
        assert kept.left == study.side("Ada", pair.id) and kept.seconds == 1.235
        assert kept.choice == {"left": kept.left, "right": other}.get(answer, answer)


def test_undo_brings_the_pair_back_and_goes_on_to_the_beginning(log):
    study = Study(PAIRS[:3], log)
    order = finish(study, "Ada", "right")
    assert study.state("Ada").pair is None
    for pair in reversed(order):
        state, answer = study.undo("Ada")
        assert state.pair.id == pair and answer == "right"
    assert not state.can_undo and state.done == 0
    with pytest.raises(Conflict, match="nothing to undo"):
        study.undo("Ada")
    assert len(read_log(log.path)[0]) == 6, "nothing is rewritten"
    assert finish(study, "Ada") == order


def test_undo_takes_back_ones_own(log):
    study = Study(PAIRS[:3], log)
    study.judge("Ada", PAIRS[0].id, "left", 1.0)
    study.judge("Bo", PAIRS[0].id, "left", 1.0)
    assert study.undo("Ada")[0].pair == PAIRS[0]
    assert [one.annotator for one in study.judgements()] == ["Bo"]


def test_a_pair_is_judged_once(log):
    study = Study(PAIRS, log)
    pair = study.state("Ada").pair
    study.judge("Ada", pair.id, "left", 1.0)
    with pytest.raises(Conflict, match="judged already"):
        study.judge("Ada", pair.id, "right", 1.0)
    with pytest.raises(KeyError):
        study.judge("Ada", "0" * 16, "left", 1.0)
    assert len(study.judgements()) == 1


@pytest.mark.parametrize(("overlap", "shared"), [(0.0, 0), (0.25, 10), (0.251, 11), (1.0, 40)])
def test_shared_pairs_go_to_all_and_others_to_one(log, overlap, shared):
    study = Study(PAIRS, log, overlap=overlap)
    names = ("Ada", "Bo", "Cy")
    for _ in PAIRS:  # side by side
        for name in names:
            if pair := study.state(name).pair:
                study.judge(name, pair.id, "left", 1.0)
    judged = {pair: sum(pair in log.judgements.of(name) for name in names) for pair in study.pairs}
    assert sorted(judged.values()) == [1] * (40 - shared) + [3] * shared
    assert {pair for pair, times in judged.items() if times == 3} == study.shared
    totals = [study.state(name) for name in names]
    assert all(state.pair is None and state.left == 0 for state in totals) and sum(state.done for state in totals) == 40 + 2 * shared


def test_a_pair_that_was_skipped_is_left_to_others(log):
    study = Study(PAIRS[:1], log, overlap=0.0)
    study.judge("Ada", PAIRS[0].id, "skip", 1.0)
    assert study.state("Ada").pair is None and study.state("Bo").pair == PAIRS[0]


def test_a_pair_on_somebodys_screen_is_theirs_for_a_while(log):
    now = [0.0]
    study = Study(PAIRS[:1], log, overlap=0.0, clock=lambda: now[0])
    assert study.state("Ada").pair == PAIRS[0] and study.state("Bo").pair is None
    now[0] = HOLD
    assert study.state("Bo").pair == PAIRS[0], "Ada has gone"
    assert study.state("Ada").pair == PAIRS[0], "and came back: the pair doesn't change under her eyes"
    study.judge("Bo", PAIRS[0].id, "left", 1.0)
    study.judge("Ada", PAIRS[0].id, "left", 1.0)


def test_a_restart_goes_on(tmp_path):
    with Log(tmp_path / "j.jsonl") as log:
        study = Study(PAIRS, log)
        for _ in range(5):
            study.judge("Ada", study.state("Ada").pair.id, "tie", 1.0)
        before = study.state("Ada")
    with Log(tmp_path / "j.jsonl") as log:
        assert Study(PAIRS, log).state("Ada") == before and before.done == 5


@pytest.mark.parametrize(
    ("pairs", "overlap", "message"), [([], 1.0, "no pairs"), (PAIRS, 1.1, "overlap must lie"), (PAIRS, float("nan"), "overlap")]
)
def test_what_cannot_be_is_refused(log, pairs, overlap, message):
    with pytest.raises(ValueError, match=message):
        Study(pairs, log, overlap=overlap)
