"""The examples run as their pages say."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import pytest
from stable_baselines3 import PPO

import lm_envs  # noqa: F401
from lm_envs import assets
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


@pytest.mark.parametrize("algorithm", ["ppo", "dqn"])
def test_dialogue(algorithm):
    done = run("dialogue.py", "--algorithm", algorithm, *SHORT)
    assert done.returncode == 0, done.stderr
    for name in ("random", algorithm, "expert"):
        assert re.search(rf"^{name}: return -?[01]\.\d{{3}} \[.*\], success [01]\.\d\d \[.*\]$", done.stdout, re.MULTILINE)


@pytest.mark.network
def test_dialogue_bandit():
    if not assets.available("chitchat"):
        pytest.skip("chitchat isn't fetched")
    done = run("dialogue.py", "--algorithm", "bandit", "--partner", "human-data", "--candidates", "retrieved", *SHORT)
    assert done.returncode == 0 and "bandit: return" in done.stdout, done.stderr


def test_the_bandit_says_what_it_needs():
    done = run("dialogue.py", "--algorithm", "bandit")
    assert done.returncode != 0 and "--candidates retrieved" in done.stderr


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


def test_the_discount_rises(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    unmasked = importlib.import_module("unmasked")
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, n_epochs=1, gamma=0.5, device="cpu")
    seen = []

    class Look(unmasked.RisingDiscount):
        def _on_rollout_start(self):
            super()._on_rollout_start()
            seen.append((self.model.gamma, self.model.rollout_buffer.gamma))

    model.learn(160, callback=Look(0.8, 0.9, 0.2, 0.6))
    discounts = [discount for discount, _ in seen]
    assert discounts[:3] == pytest.approx([0.8, 0.8, 0.8]) and discounts[-3:] == pytest.approx([0.9, 0.9, 0.9])
    assert discounts == sorted(discounts) and discounts[4] == pytest.approx(0.85) and all(one == other for one, other in seen)


def test_an_unknown_algorithm_is_refused_with_the_known_ones():
    done = run("tabular.py", "--algorithm", "magic")
    assert done.returncode == 2 and "q_learning" in done.stderr
