"""The examples run as their pages say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_an_unknown_algorithm_is_refused_with_the_known_ones():
    done = run("tabular.py", "--algorithm", "magic")
    assert done.returncode == 2 and "q_learning" in done.stderr
