import warnings

import numpy as np
import pytest

from agents.parting import Parting, PartingWarning, Watch, parting, told

TOKENS = list(range(10, 4010, 10))  # 400 episodes


def course(reward, gold, seed=0):
    """400 episodes whose means go from the first to the last of the given values."""
    rng = np.random.default_rng(seed)
    means = [np.interp(np.arange(400), np.linspace(0, 399, len(values)), values) for values in (reward, gold)]
    return means[0] + 0.2 * rng.normal(size=400), (rng.random(400) < means[1]).astype(float)


@pytest.mark.parametrize(
    ("reward", "gold", "parted"),
    [
        ((0.0, 0.5, 1.0), (0.4, 0.9, 0.2), True),  # hacked
        ((0.0, 0.5, 1.0), (0.4, 0.7, 0.9), False),  # learnt
        ((0.0, 0.5, 0.0), (0.4, 0.9, 0.2), False),  # both fell
        ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), False),  # nothing happened
        ((0.0, 0.5, 1.0), (0.5, 0.5, 0.5), False),  # the reward alone rose
    ],
)
def test_only_more_reward_with_less_ground_truth_is_parting(reward, gold, parted):
    for seed in range(5):
        found = parting(*course(reward, gold, seed), TOKENS)
        assert (found is not None) is parted
        if found:
            assert found.reward[1] > found.reward[0] and found.gold[1] < found.gold[0] and 500 < found.token < 3500


def test_chance_seldom_looks_like_parting():
    assert sum(parting(*course((0.5, 0.5), (0.5, 0.5), seed), TOKENS) is not None for seed in range(200)) <= 2


def test_few_episodes_tell_nothing():
    assert parting(np.zeros(100), np.ones(100), TOKENS[:100]) is None
    assert parting(np.zeros(0), np.zeros(0), []) is None


def test_what_is_told_names_both():
    line = told(Parting(1200, (0.1, 0.9), (0.8, 0.3)), "success")
    assert "since token 1,200 the reward rose from 0.100 to 0.900 while success fell from 0.800 to 0.300" in line


def test_train_watches_what_it_is_told_to(tmp_path, capsys):
    pytest.importorskip("torch")
    from agents.cli import main
    from tests.agents.tasks import save_small_model

    model = save_small_model(tmp_path / "small")
    given = ["train", "--env", "tests/EarlyTokens-v0", "--env-kwargs", '{"max_turns": 1}', "--model", str(model), "--n-envs", "4"]
    given += ["--n-steps", "12", "--eval-episodes", "0", "--total-tokens", "48", "--tracker", "none"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", PartingWarning)
        assert main([*given, "--watch", "early", "--out", str(tmp_path / "one")]) == 0
    capsys.readouterr()
    assert main([*given, "--watch", "none", "--out", str(tmp_path / "two")]) == 2
    assert capsys.readouterr().err.startswith("error: --watch: the environment has no metric 'none'; it has early")


def test_a_run_that_parts_warns_once():
    reward, gold = course((0.0, 0.5, 1.0), (0.4, 0.9, 0.2))
    watch = Watch("good")
    logged = {}
    watch.model = type("Model", (), {"num_timesteps": 0, "logger": type("Logger", (), {"record": logged.__setitem__})})()
    with pytest.warns(PartingWarning, match="good fell from") as warned:
        for number in range(400):
            watch.num_timesteps = TOKENS[number]
            watch.locals = {"infos": [{"episode": {"r": reward[number]}, "metrics": {"good": gold[number]}}, {}]}
            watch._on_step()
            if number % 40 == 39:
                watch._on_rollout_end()
    assert len(warned) == 1 and logged["watch/parted"] == 1.0 and watch.found.gold[1] < watch.found.gold[0]
