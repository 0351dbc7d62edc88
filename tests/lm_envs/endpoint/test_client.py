"""The client against a server of its own process that is too busy, fails, hangs, dies, and lies."""

import copy
import json
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time

import pytest

from lm_envs.endpoint import AnswerCache, BudgetSpent, ChatEndpoint, EndpointError
from tests.lm_envs.endpoint.server import Running

SECRET = "sk-very-secret"


def ask(text="Hi"):
    return {"messages": [{"role": "user", "content": text}], "max_tokens": 8}


def test_a_request_is_the_protocols(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login eve password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("THE_KEY", f"{SECRET}\n")
    answer = ChatEndpoint(f"{server.url('unmetered,ok')}/", "small", key_variable="THE_KEY").complete(ask())
    ((key, body),) = server.asked("unmetered,ok")
    assert key == f"Bearer {SECRET}" and body == {"model": "small", **ask()}
    assert answer.content == "ok" and answer.usage is None and answer.alternatives == ()
    ChatEndpoint(server.url("unmetered,ok"), "small").complete(ask())
    assert server.asked("unmetered,ok")[1][0] is None


@pytest.mark.parametrize(
    ("failures", "retries"),
    [
        ("429", 1), ("408,500,502,503", 4), ("html", 1), ("list", 1), ("deep", 1), ("half", 1), ("huge", 1), ("half,html,429", 3),
    ],
)  # fmt: skip
def test_failures_that_may_pass_are_tried_again(server, slept, failures, retries):
    plan = f"{failures},null"
    assert ChatEndpoint(server.url(plan), "small", retries=retries).complete(ask()).content == ""
    assert len(server.asked(plan)) == retries + 1
    assert len(slept) == retries and all(0.25 <= seconds <= 60 for seconds in slept)


@pytest.mark.parametrize(
    ("plan", "attempts", "problem", "status"),
    [
        ("500", 3, "status 500: 'as planned'", 500),
        ("html", 3, "not JSON", 200),
        ("list", 3, "no choices", 200),
        ("huge", 3, "longer than 4,000,000 bytes", None),
        ("404", 1, "status 404: 'as planned'", 404),
        ("echo", 1, r"status 401: 'bad key Bearer \*\*\*", 401),
        ("elsewhere", 1, "status 307", 307),
    ],
)
def test_failures_that_last_are_reported_without_the_key(server, slept, plan, attempts, problem, status):
    before = len(server.asked(plan))
    with pytest.raises(EndpointError, match=problem) as error:
        ChatEndpoint(server.url(plan), "small", key=SECRET, retries=2).complete(ask())
    text = str(error.value)
    assert server.url(plan) in text and SECRET not in text and text.isprintable() and len(text) < 600
    assert len(server.asked(plan)) - before == attempts and error.value.status == status
    assert not server.asked("stolen")  # a redirect would have carried the key there


@pytest.mark.parametrize(("plan", "problem"), [("hang", "Timeout"), ("dribble", "no whole answer in 0.3 s")])
def test_servers_that_hang_or_trickle_are_given_up(server, slept, plan, problem):
    endpoint = ChatEndpoint(server.url(plan), "small", timeout=0.3, retries=1, token_budget=10_000)
    with pytest.raises(EndpointError, match=problem):
        endpoint.complete(ask())
    assert len(server.asked(plan)) == 2
    assert endpoint.budget.spent_tokens > 0  # who knows what they charge


def test_a_server_that_dies_in_the_middle_comes_back(slept, tmp_path):
    server = Running()
    endpoint = ChatEndpoint(server.url("slow,die"), "small", retries=1, cache=tmp_path / "kept.sqlite")
    assert endpoint.complete(ask("one")).content == "ok"
    with pytest.raises(EndpointError):
        endpoint.complete(ask("two"))
    assert server.ended() == 3
    server.stop()
    again = Running(server.port)
    try:
        assert endpoint.complete(ask("one")).content == "ok" and not again.asked("slow,die")
        assert endpoint.complete(ask("two")).content == "ok"
    finally:
        again.stop()


def test_nothing_that_listens_costs_nothing(slept):
    endpoint = ChatEndpoint("http://127.0.0.1:9/v1", "small", retries=2, token_budget=10_000)
    with pytest.raises(EndpointError, match=r"127.0.0.1:9.*ConnectionError \(3 attempts\)"):
        endpoint.complete(ask())
    assert endpoint.budget.spent_tokens == 0


def test_a_server_that_says_how_long_is_left_alone_so_long(server, slept):
    ChatEndpoint(server.url("busy,slow"), "small", retries=1).complete(ask())
    assert 5 < max(slept) <= 7


def test_many_are_asked_at_a_time_and_equal_ones_once(server):
    bodies = [ask(f"question {number % 12}") for number in range(24)]
    answers = ChatEndpoint(server.url("slow"), "small", concurrency=4).complete_all(bodies)
    assert len(answers) == 24 and len(server.asked("slow")) == 12
    assert 1 < server.peak("slow") <= 4
    assert ChatEndpoint(server.url("slow"), "small").complete_all([]) == []


def test_the_first_failure_stops_what_is_not_yet_sent(server, tmp_path):
    cache = tmp_path / "kept.sqlite"
    endpoint = ChatEndpoint(server.url("slow,slow,403"), "small", concurrency=2, cache=cache)
    with pytest.raises(EndpointError, match="status 403"):
        endpoint.complete_all([ask(f"question {number}") for number in range(50)])
    assert len(server.asked("slow,slow,403")) < 50
    assert len(AnswerCache(cache)) == 2


def test_a_spent_budget_is_an_error_before_the_request(server):
    endpoint = ChatEndpoint(server.url("ok,ok"), "small", token_budget=230)
    assert [endpoint.complete(ask(text)).usage for text in "ab"] == [(100, 4)] * 2
    with pytest.raises(BudgetSpent, match="the token budget is spent: 208 of 230 used, the next request may take"):
        endpoint.complete(ask("c"))
    assert len(server.asked("ok,ok")) == 2 and endpoint.budget.spent_tokens == 208


def test_cost_is_counted_by_the_servers_usage_or_what_was_set_aside(server):
    endpoint = ChatEndpoint(server.url("ok,unmetered"), "small", cost_budget=1, prices=(1000, 10_000))
    endpoint.complete(ask())
    assert endpoint.budget.spent_cost == pytest.approx((100 * 1000 + 4 * 10_000) / 1e6)
    endpoint.complete(ask())
    assert endpoint.budget.spent_tokens == 104 + -(-len(json.dumps({"model": "small", **ask()})) // 3) + 8
    with pytest.raises(BudgetSpent, match="the cost budget is spent"):
        for _ in range(20):
            endpoint.complete(ask())


def test_kept_answers_are_not_asked_for_again(server, tmp_path):
    cache = tmp_path / "deep" / "kept.sqlite"
    plan = "logprobs,401"
    first = ChatEndpoint(server.url(plan), "small", cache=cache).complete(ask())
    again = ChatEndpoint(server.url(plan), "small", cache=cache, key=SECRET)
    assert again.complete(ask()) == first and first.alternatives
    with pytest.raises(EndpointError):
        again.complete(ask("another"))
    refused = ChatEndpoint(server.url("ok,401"), "small", cache=cache)
    refused.complete(ask(), accept=lambda answer: False)
    with pytest.raises(EndpointError):
        refused.complete(ask())


def test_a_killed_client_has_kept_what_was_answered(server, tmp_path):
    cache = tmp_path / "kept.sqlite"
    program = """
        from lm_envs.endpoint import ChatEndpoint
        texts = ["one", "hang 1", "two", "hang 2", "three", "four"]
        bodies = [{"messages": [{"role": "user", "content": text}]} for text in texts]
        ChatEndpoint(URL, "small", cache=CACHE).complete_all(bodies)
    """
    program = textwrap.dedent(program).replace("URL", repr(server.url("sometimes"))).replace("CACHE", repr(str(cache)))
    client = subprocess.Popen([sys.executable, "-c", program], env=dict(os.environ))
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not (cache.exists() and len(AnswerCache(cache)) == 4):
        time.sleep(0.05)
    client.send_signal(signal.SIGKILL)
    client.wait()
    assert len(AnswerCache(cache)) == 4
    assert sqlite3.connect(cache).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    before = len(server.asked("sometimes"))
    endpoint = ChatEndpoint(server.url("sometimes"), "small", cache=cache)
    assert endpoint.complete({"messages": [{"role": "user", "content": "four"}]}).content == "ok"
    assert len(server.asked("sometimes")) == before


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"url": "file:///etc/passwd"}, "must begin with http"),
        ({"url": "http://eve:pw@host/v1"}, "must not hold a name and a password"),
        ({"key": "a b"}, "printable ASCII"),
        ({"key": "a", "key_variable": "B"}, "either key or key_variable"),
        ({"timeout": 0}, "timeout must be more than 0"),
        ({"retries": -1}, "retries at least 0"),
        ({"concurrency": 0}, "concurrency at least 1"),
        ({"requests_per_minute": 0}, "requests_per_minute must be more than 0"),
        ({"cost_budget": 1.0}, "needs prices"),
        ({"token_budget": -1}, "not be negative"),
        ({"prices": (1,)}, "two numbers"),
    ],
)
def test_wrong_arguments_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem) as error:
        ChatEndpoint(**{"url": "http://host/v1", "model": "small", **arguments})
    assert "pw" not in str(error.value)


def test_a_key_that_is_not_there_is_named(monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ValueError, match="NO_SUCH_KEY"):
        ChatEndpoint("http://127.0.0.1:9/v1", "small", key_variable="NO_SUCH_KEY").complete(ask())


def test_copies_share_limits_and_pickles_begin_anew(tmp_path):
    endpoint = ChatEndpoint("http://x/v1", "small", key=SECRET, token_budget=7, cache=tmp_path / "kept.sqlite")
    assert copy.deepcopy(endpoint) is endpoint and copy.copy(endpoint) is endpoint
    again = pickle.loads(pickle.dumps(endpoint))
    assert again.budget.tokens == 7 and again.cache.path == endpoint.cache.path
    assert SECRET not in repr(endpoint)
