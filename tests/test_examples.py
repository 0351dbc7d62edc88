"""The examples run as their pages say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lm_envs import assets

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


def test_an_unknown_algorithm_is_refused_with_the_known_ones():
    done = run("tabular.py", "--algorithm", "magic")
    assert done.returncode == 2 and "q_learning" in done.stderr
