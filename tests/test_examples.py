"""The examples run as their pages say."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest

import lm_envs  # noqa: F401
from lm_envs.envs.customer_service.choices import CHOICES, NUMBER

FOLDER = Path(__file__).parent.parent / "examples" / "choice_level"
SHORT = ["--total-timesteps", "300", "--evaluation-episodes", "2"]


def run(script, *arguments):
    return subprocess.run([sys.executable, str(FOLDER / script), *arguments], capture_output=True, text=True)


@pytest.mark.parametrize(
    "script, algorithm",
    [*(("tabular.py", one) for one in ("q_learning", "sarsa")), *(("sb3_choice.py", one) for one in ("maskable_ppo", "ppo", "a2c", "dqn"))],
)
def test_choice_level(script, algorithm):
    done = run(script, "--algorithm", algorithm, *SHORT)
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{algorithm} seed 1: \d+ steps in \d+ s.*of the expert's 0\.\d+\), success [01]\.\d\d$", done.stdout, re.MULTILINE)


def test_neutral_acts_alone():
    done = run("sb3_choice.py", "--algorithm", "ppo", "--acts", "neutral", *SHORT)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ppo seed 1: \d+ steps", done.stdout)


def test_neutral_acts_are_enough(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    unmasked = importlib.import_module("unmasked")
    env = unmasked.neutrally(gym.make("lm_envs/CustomerServiceActs-v0"))
    successes = []
    for seed in range(40):
        env.reset(seed=seed)
        over = False
        while not over:
            act, _ = CHOICES[env.unwrapped.expert_action()]
            *_, over, _, info = env.step(unmasked.NEUTRAL.index(NUMBER[act, "neutral"]))
        successes.append(info["metrics"]["success"])
    assert sum(successes) >= 38


def test_kept_shaping_gives_back_what_was_taken_and_nothing_else(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    unmasked = importlib.import_module("unmasked")
    as_it_is = unmasked.neutrally(gym.make("lm_envs/CustomerServiceActs-v0", shaping=True, inadmissible="next"))
    kept = unmasked.KeptShaping(unmasked.neutrally(gym.make("lm_envs/CustomerServiceActs-v0", shaping=True, inadmissible="next")))
    assert as_it_is.action_space == kept.action_space and {CHOICES[number][1] for number in unmasked.NEUTRAL} == {"neutral"}
    failed, given = 0, []
    for seed in range(8):
        as_it_is.reset(seed=seed)
        kept.reset(seed=seed)
        progress, over = [0.0], False
        while not over:
            # the expert's acts to begin with, then refusals
            act = CHOICES[kept.unwrapped.expert_action()][0] if len(progress) < 3 + seed else "refuse_policy"
            number = unmasked.NEUTRAL.index(NUMBER[act, "neutral"])
            _, reward, over, _, info = as_it_is.step(number)
            _, paid, *_ = kept.step(number)
            assert paid - reward == pytest.approx(sum(progress) if over else 0.0)
            progress.append(info["rewards"]["shaping"])
        failed += info["metrics"]["success"] == 0
        given.append(paid - reward)
        assert sum(progress) == pytest.approx(0.0)
    assert failed and max(given) > 0.2


def test_an_unknown_algorithm_is_refused_with_the_known_ones():
    done = run("tabular.py", "--algorithm", "magic")
    assert done.returncode == 2 and "q_learning" in done.stderr
