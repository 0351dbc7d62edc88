"""What users install: the wheel in an empty environment, away from the sources."""

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

SCRIPT = """
import sys
import gymnasium as gym
env = gym.make("lm_envs:lm_envs/Sentiment-v0", target="positive")
env.reset(seed=0)
_, reward, terminated, truncated, info = env.step("was wonderful.")
assert terminated and not truncated and reward > 0.3, (reward, terminated, truncated)
for name in ("Sentiment", "Dialogue", "CustomerService"):
    env = gym.make(f"lm_envs/{name}Tokens-v0")
    observation, _ = env.reset(seed=0)
    env.step(env.action_space.sample())
    envs = gym.make_vec(f"lm_envs/{name}Tokens-v0", num_envs=2)
    envs.reset(seed=0)
    envs.step(envs.action_space.sample())
assert "torch" not in sys.modules
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT], check=True, capture_output=True, text=True
    )
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_all_that_is_needed_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"lm_envs", "agents", "benchmarks"}
    tracked = subprocess.run(["git", "ls-files", "lm_envs", "agents", "benchmarks"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode == 0 and tracked.stdout:
        assert set(tracked.stdout.split()) <= set(names)
    assert "lm_envs/bundled/tiny/model.safetensors" in names
    assert wheel.stat().st_size < 8_000_000


@pytest.mark.network
def test_it_works_in_an_empty_environment_from_another_folder(wheel, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    installed = subprocess.run(install, capture_output=True, text=True)
    unreachable = ("connection", "Connection", "timed out", "No matching distribution")
    if installed.returncode and any(sign in installed.stderr for sign in unreachable):
        pytest.skip(f"the package index can't be reached: {installed.stderr.strip().splitlines()[-1]}")
    assert installed.returncode == 0, installed.stderr
    used = subprocess.run([python, "-I", "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert used.returncode == 0, used.stderr
    train = subprocess.run([python, "-I", "-m", "agents", "train"], cwd=tmp_path, capture_output=True, text=True)
    assert train.returncode != 0 and 'pip install "lm-envs[agents]"' in train.stderr and "Traceback" not in train.stderr
