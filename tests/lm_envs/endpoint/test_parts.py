"""Answers that may be anything, a cache file that may be, and limits under many threads."""

import math
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lm_envs.endpoint import Answer, AnswerCache, Budget, BudgetSpent, RateLimit, limits

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON)
def test_any_body_is_an_answer_or_a_value_error(body):
    try:
        assert isinstance(Answer.read(body).content, str)
    except ValueError:
        pass


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(JSON, JSON, JSON)
def test_what_surrounds_a_content_is_read_with_suspicion(logprobs, top, usage):
    positions = {"content": [{"token": "4", "logprob": -1, "top_logprobs": top}]}
    for given_logprobs in (logprobs, positions):
        answer = Answer.read({"choices": [{"message": {"content": "4"}, "logprobs": given_logprobs}], "usage": usage})
        assert answer.content == "4" and (answer.usage is None or min(answer.usage) >= 0)
        assert all(not math.isnan(logprob) and logprob <= 0 for position in answer.alternatives for _, logprob in position)
        assert Answer.from_json(answer.to_json()) == answer


def test_an_answer_without_content_and_with_lone_surrogates():
    assert Answer.read({"choices": [{"message": {"content": None}}]}) == Answer("")
    assert Answer.read({"choices": [{"message": {"content": "a\ud800"}}]}).content == "a\ufffd"


def test_the_cache_keeps_whole_answers_only(tmp_path):
    path = tmp_path / "kept.sqlite"
    answer = Answer("4", ((("4", -0.5), ("é", -math.inf)),), (3, 1))
    cache = AnswerCache(path)
    cache.put("a", answer)
    cache.put("a", answer)
    assert len(cache) == 1 and AnswerCache(path).get("a") == answer and cache.get("b") is None
    for broken in ("{", '{"content": 1}', "[]", '{"content": "x", "alternatives": [[3]], "usage": null}'):
        sqlite3.connect(path).executescript(f"UPDATE answers SET answer = '{broken}'")
        assert cache.get("a") is None


def test_threads_share_a_cache(tmp_path):
    caches = [AnswerCache(tmp_path / "kept.sqlite") for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: caches[number % 2].put(str(number), Answer(str(number))), range(40)))
    assert len(caches[0]) == 40 and all(caches[1].get(str(number)) == Answer(str(number)) for number in range(40))


def test_another_file_is_refused_and_left_alone(tmp_path):
    text, database = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("dear diary, " * 200)
    sqlite3.connect(database).executescript("CREATE TABLE theirs (x)")
    for path in (text, database):
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"{path.name} is not a cache of answers"):
            AnswerCache(path)
        assert path.read_bytes() == before
    with pytest.raises(OSError, match="the cache"):
        AnswerCache(tmp_path)


def test_requests_begin_apart(monkeypatch):
    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    clock = Clock()
    monkeypatch.setattr(limits, "time", clock)
    begun = []
    rate = RateLimit(per_minute=30)
    for _ in range(3):
        rate.wait()
        begun.append(clock.now)
    rate.pause(9)
    rate.wait()
    begun.append(clock.now)
    clock.now += 60  # time that passed unused is not saved up
    for _ in range(2):
        rate.wait()
        begun.append(clock.now)
    assert begun == [100, 102, 104, 113, 173, 175]


def test_requests_under_way_cannot_overspend_together():
    budget = Budget(tokens=100)
    most, lock = [], threading.Lock()

    def one(number):
        try:
            reserved = budget.reserve(7, 3)
        except BudgetSpent:
            return 0
        with lock:
            most.append(budget.spent_tokens)
        budget.settle(reserved, (7, 3))
        return 10

    with ThreadPoolExecutor(8) as pool:
        used = sum(pool.map(one, range(50)))
    assert used == budget.spent_tokens == 100


def test_what_was_not_used_is_given_back():
    budget = Budget(tokens=100)
    budget.settle(budget.reserve(50, 50), (0, 0))
    budget.settle(budget.reserve(50, 50), (1, 1))
    with pytest.raises(BudgetSpent, match="2 of 100 used, the next request may take 99"):
        budget.reserve(98, 1)
