from functools import cache
from itertools import combinations
from math import log2

import numpy as np
import pytest

from lm_envs.envs.twenty_questions import bounds, search
from lm_envs.envs.twenty_questions.table import ANSWERS, table


def entropy(left, attribute):
    counts = [np.count_nonzero(search.after_answer(left, attribute, answer)) for answer in ANSWERS]
    return -sum(count / sum(counts) * log2(count / sum(counts)) for count in counts if count)


def test_the_best_question_has_the_greatest_entropy():
    rng = np.random.default_rng(0)
    for size in (3, 10, 100, 329):
        left = np.zeros(len(table().things), dtype=bool)
        left[rng.choice(left.size, size, replace=False)] = True
        best = search.best_question(left)
        assert entropy(left, best) == pytest.approx(max(entropy(left, attribute) for attribute in table().attributes))


def test_nothing_tells_anything_of_one_thing():
    left = np.zeros(len(table().things), dtype=bool)
    left[5] = True
    assert search.best_question(left) == ""
    assert search.next_move(left) == ("guess", table().things[5])


def test_the_greedy_player_finds_everything():
    turns = [bounds.turns_of(thing) for thing in table().things]
    assert bounds.fewest_turns(len(turns), 3) <= np.mean(turns) < bounds.fewest_turns(len(turns), 2)
    assert max(turns) <= 9


@cache
def by_hand(things, answers):
    """Least total turns over all ways to guess one or to divide the things; ``things`` is how many."""
    if things <= 1:
        return things
    ways = [things + by_hand(things - 1, answers)]
    for cuts in combinations(range(1, things), answers - 1):
        ways.append(things + sum(by_hand(b - a, answers) for a, b in zip((0, *cuts), (*cuts, things), strict=True)))
    if answers == 3:
        ways += [things + by_hand(cut, 3) + by_hand(things - cut, 3) for cut in range(1, things)]
    return min(ways)


@pytest.mark.parametrize("answers", [2, 3])
def test_fewest_turns_against_brute_force(answers):
    for things in range(1, 16):
        assert bounds.fewest_turns(things, answers) == pytest.approx(by_hand(things, answers) / things)


def test_huffman_codes():
    assert [bounds.huffman(n) for n in (1, 2, 3, 4, 8)] == [0, 1, 5 / 3, 2, 3]
    assert [bounds.huffman(n, 3) for n in (1, 2, 3, 4, 5, 9)] == [0, 1, 1, 1.5, 1.6, 2]
    assert log2(329) <= bounds.huffman(329) < log2(329) + 1


def test_the_bounds_as_published():
    assert any(line.startswith("greedy player with this table: mean 6.54 turns, most 9") for line in bounds.report())
