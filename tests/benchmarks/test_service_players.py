"""The service desk's scripted players: what the careless ones get wrong shows, and nothing else does."""

import json

import pytest

from benchmarks.__main__ import SERVICE_PLAYERS, main
from benchmarks.experiments import service_players
from benchmarks.experiments.service_players import PLAYERS, Study, measure, player, tables
from lm_envs.envs.customer_service import metrics
from lm_envs.envs.customer_service.env import CustomerServiceEnv


@pytest.fixture(scope="module")
def results():
    return measure(Study(tasks=8, trials=4, customers=4))


def test_the_command_names_all_players():
    assert SERVICE_PLAYERS == PLAYERS


def test_the_expert_is_reliable_and_chance_and_silence_are_not(results):
    for k in (1, 2, 4):
        assert results.reliability["expert"][k].mean == 1
        assert results.reliability["random"][k].mean == results.reliability["no reply"][k].mean == 0


def test_a_careless_expert_succeeds_less_the_more_often_it_must(results):
    once, twice, four = (results.reliability["careless expert"][k].mean for k in (1, 2, 4))
    assert 0 < four < twice < once < 1


def test_the_expert_treats_all_alike(results):
    for pairs in results.fairness["expert"].values():
        assert all(pair.after.mean == 1 and pair.difference.mean == 0 for pair in pairs.values())


def test_care_for_gold_members_alone_shows(monkeypatch):
    monkeypatch.setattr(service_players, "CARELESS", 1.0)
    env = CustomerServiceEnv()
    kept = {
        tier: metrics.paired(player("unfair expert", env, together=2), change="tier", values=[tier], seeds=range(12), env=env).after.mean
        for tier in ("standard", "gold")
    }
    assert kept["gold"] == 1 and kept["standard"] == 0


def test_a_hasty_expert_breaks_a_critical_rule(monkeypatch):
    monkeypatch.setattr(service_players, "CARELESS", 1.0)
    env = CustomerServiceEnv(intents=["address"], max_needs=1)
    broken = [metrics.success(env, player("careless expert", env), seed)["critical_violations"] for seed in range(8)]
    assert max(broken) > 0


def test_pairs_of_episodes_meet_the_same_chance():
    env = CustomerServiceEnv()
    policy = player("random", env, together=2)

    def first_reply():
        messages, _ = env.reset(seed=1)
        return policy(messages)

    replies = [first_reply() for _ in range(8)]
    assert replies[::2] == replies[1::2] and len(set(replies)) > 1


def test_tables(results):
    rich, markdown = tables(results), tables(results, "markdown")
    assert [table.row_count for table in rich] == [len(PLAYERS), sum(map(len, service_players.VALUES.values()))]
    assert (
        markdown[0].startswith("| player | pass^1 | pass^2 | pass^4 |\n") and "| tier | gold | 1.00, +0.00 [+0.00, +0.00] |" in markdown[1]
    )


def test_the_command(tmp_path, capsys):
    assert (
        main(["service-players", "--players", "no reply", "--tasks", "2", "--trials", "1", "--customers", "1", "--out", str(tmp_path)]) == 0
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["reliability"]["no reply"]["1"]["mean"] == 0 and "pass^1" in (tmp_path / "table.md").read_text()
    assert "Fairness" in capsys.readouterr().out
