import json
import os
import pickle
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stable_baselines3 import PPO
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize
from transformers import AutoModelForCausalLM, AutoTokenizer

from agents import checkpoint
from agents.algorithms import make
from agents.checkpoint import CheckpointError, Checkpoints, find, load, load_policy, save
from agents.vec_env import SB3VecEnv
from lm_envs.tokens import TokenEnv
from tests.agents.tasks import EarlyEnv, early_env, save_small_model
from tests.lm_envs.toys import byte_level

ROWS, STEPS = 4, 12
HALF, ALL = 2 * ROWS * STEPS, 3 * ROWS * STEPS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_small_model(tmp_path_factory.mktemp("models") / "small")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def start(folder, name="ppo", env=None, **overrides):
    return make(name, env or early_env(ROWS, turns=2), model=folder, seed=0, n_steps=STEPS, **overrides)


def parameters(algo):
    return torch.cat([p.detach().flatten() for p in algo.policy.parameters()])


class Stopped(Exception):
    pass


class StopAfterSaving(Checkpoints):
    """A run that dies right after its first checkpoint."""

    def _on_rollout_start(self):
        super()._on_rollout_start()
        if self.folder.exists():
            raise Stopped


def stir():
    """What happens between two runs: the generators move on."""
    random.random(), np.random.random(3), torch.rand(5)


# Resuming


def vectors():
    return early_env(ROWS, turns=2)


def singles():
    return DummyVecEnv([lambda: TokenEnv(EarlyEnv(max_turns=2), byte_level(), max_length=64, max_reply_tokens=8) for _ in range(ROWS)])


def normalized():
    return VecNormalize(VecMonitor(SB3VecEnv(early_env(ROWS, turns=2))), norm_obs=False, gamma=1.0)


@pytest.mark.parametrize(
    ("name", "overrides", "env"),
    [
        ("ppo", {"learning_rate": LinearSchedule(1e-2, 1e-3, 1.0)}, vectors),
        ("ppo", {"lora": {"r": 2}}, vectors),
        ("ppo", {}, singles),
        ("ppo", {}, normalized),
        ("a2c", {"optimizer_class": torch.optim.SGD, "optimizer_kwargs": {"momentum": 0.9}}, vectors),
        ("trpo", {}, vectors),
    ],
)
def test_a_resumed_run_is_the_uninterrupted_one(folder, tmp_path, name, overrides, env):
    if "lora" in overrides:
        pytest.importorskip("peft")
    source = shutil.copytree(folder, tmp_path / "source")
    whole = start(source, name, env(), **overrides).learn(ALL)
    halted = start(source, name, env(), **overrides)
    with pytest.raises(Stopped):
        halted.learn(ALL, callback=StopAfterSaving(tmp_path / "checkpoint", every=2))
    assert halted.num_timesteps == HALF
    shutil.rmtree(source)
    stir()
    resumed = load(tmp_path / "checkpoint", env())
    assert torch.equal(parameters(resumed), parameters(halted))
    resumed.learn(ALL - resumed.num_timesteps, reset_num_timesteps=False)
    assert torch.equal(parameters(resumed), parameters(whole))
    assert not torch.equal(parameters(resumed), parameters(halted))
    assert resumed.num_timesteps == ALL and resumed._n_updates == whole._n_updates
    assert [(e["r"], e["l"]) for e in resumed.ep_info_buffer] == [(e["r"], e["l"]) for e in whole.ep_info_buffer]


def test_an_environment_from_an_id_is_made_again(folder, tmp_path):
    folder = shutil.copytree(folder, tmp_path / "source")
    kwargs = {"max_length": 200, "target": "positive", "tokenizer": str(folder)}
    algo = make("ppo", "lm_envs/SentimentTokens-v0", model=folder, n_envs=2, env_kwargs=kwargs, n_steps=8, seed=0).learn(16)
    save(algo, tmp_path / "c")
    shutil.rmtree(folder)
    again = load(tmp_path / "c")
    np.testing.assert_equal(again._last_obs, algo._last_obs)
    stir()
    np.testing.assert_equal(again.env.step(np.array([5, 6])), algo.env.step(np.array([5, 6])))


def test_what_cannot_be_restored_is_said(folder, tmp_path):
    env = early_env(2)
    del type(env).get_state  # as an environment of somebody else's
    try:
        save(start(folder, env=env).learn(24), tmp_path / "c")
    finally:
        type(env).get_state = _get_state
    with pytest.warns(UserWarning, match="goes on with new episodes"):
        load(tmp_path / "c", early_env(2)).learn(24, reset_num_timesteps=False)


_get_state = type(early_env(1)).get_state


# The folder


def test_transformers_loads_the_folder(folder, tmp_path):
    algo = start(folder).learn(HALF)
    saved = save(algo, tmp_path / "c")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(saved), AutoTokenizer.from_pretrained(saved)
    for ours, theirs in zip(algo.policy.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert tokenizer.chat_template == byte_level().chat_template and tokenizer.get_vocab() == byte_level().get_vocab()
    assert torch.equal(load_file(saved / "value_head.safetensors")["weight"], algo.policy.value_head.weight)
    policy = load_policy(saved, algo.observation_space, algo.action_space)
    assert torch.equal(parameters(algo), torch.cat([p.detach().flatten() for p in policy.parameters()]))


def test_adapters_are_saved_apart_and_merged(folder, tmp_path):
    peft = pytest.importorskip("peft")
    algo = start(folder, lora={"r": 2}, learning_rate=0.1).learn(HALF)
    before = parameters(algo)
    saved = save(algo, tmp_path / "c")
    assert torch.equal(parameters(algo), before)  # merging touched a copy
    ids = torch.arange(20)[None]
    with torch.no_grad():
        expected = algo.policy.model(ids).logits
        base = AutoModelForCausalLM.from_pretrained(folder).eval()
        assert (base(ids).logits - expected).abs().max() > 1e-2
        merged = AutoModelForCausalLM.from_pretrained(saved).eval()
        torch.testing.assert_close(merged(ids).logits, expected, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(peft.PeftModel.from_pretrained(base, saved / "adapter")(ids).logits, expected)
    assert torch.equal(parameters(load(saved, early_env(ROWS, turns=2))), before)


def test_nothing_is_pickled(folder, tmp_path, monkeypatch):
    algo = start(folder).learn(HALF)

    def refuse(*_, **__):
        raise AssertionError("pickled")

    for module, names in ((pickle, ("dump", "dumps", "load", "loads", "Pickler", "Unpickler")), (torch, ("save", "load"))):
        for name in names:
            monkeypatch.setattr(module, name, refuse)
    saved = save(algo, tmp_path / "c")
    load(saved, early_env(ROWS, turns=2))
    assert {path.suffix for path in saved.rglob("*") if path.is_file()} == {".json", ".safetensors", ".jinja"}
    json.loads((saved / "training" / "state.json").read_text())


def test_sb3s_own_saving_works(folder, tmp_path):
    algo = start(shutil.copytree(folder, tmp_path / "source")).learn(HALF)
    algo.save(tmp_path / "algo.zip")
    shutil.rmtree(tmp_path / "source")
    again = PPO.load(tmp_path / "algo.zip", env=SB3VecEnv(early_env(ROWS, turns=2)))
    assert torch.equal(parameters(again), parameters(algo))
    again.learn(HALF)
    assert not torch.equal(parameters(again), parameters(algo))


# Failures


def fingerprint(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


WRITES = {"open": os, "rename": os, "fsync": os, "mkdir": Path, "write_text": Path, "save_file": checkpoint}


@pytest.mark.parametrize("name", WRITES)
def test_a_failure_at_any_write_leaves_the_checkpoint_before(folder, tmp_path, monkeypatch, name):
    algo = start(folder).learn(HALF)
    place = save(algo, tmp_path / "run" / "c")
    before = fingerprint(place)
    original, calls, failing = getattr(WRITES[name], name), [0], [0]

    def disk_full(*args, **kwargs):
        calls[0] += 1
        if calls[0] == failing[0]:
            raise OSError(28, "No space left on device")
        return original(*args, **kwargs)

    monkeypatch.setattr(WRITES[name], name, disk_full)
    save(algo, place)
    total, failed = calls[0], 0
    before = fingerprint(place)
    for failing[0] in range(1, total + 1):
        calls[0] = 0
        try:
            save(algo, place)
        except CheckpointError as error:
            failed += 1
            assert "could not save" in str(error) and str(error).endswith("(the checkpoint before it is intact)")
        assert fingerprint(place) == before
        assert set(os.listdir(place.parent)) <= {"c", ".c.previous"}
    assert failed >= max(total - 2, 1)  # the last ones come when the new checkpoint is in place


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX")
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.99])
def test_a_real_full_disk_leaves_the_checkpoint_before(folder, tmp_path, share):
    algo = start(folder).learn(HALF)
    place = save(algo, tmp_path / "c")
    before = fingerprint(place)
    largest = max(len(content) for content in before.values())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * largest), limits[1]))
    try:
        with pytest.raises(CheckpointError, match="could not save.*intact"):
            save(algo, place)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert fingerprint(place) == before and os.listdir(tmp_path) == ["c"]


def test_killed_between_the_renames(folder, tmp_path, monkeypatch):
    algo = start(folder).learn(HALF)
    place = save(algo, tmp_path / "c")
    original, calls = os.rename, []

    def killed(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        original(*args)

    monkeypatch.setattr(os, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        save(algo, place)
    monkeypatch.setattr(os, "rename", original)
    assert not place.exists()
    assert find(place) == tmp_path / ".c.previous"
    assert torch.equal(parameters(load(place, early_env(ROWS, turns=2))), parameters(algo))
    save(algo, place)
    assert os.listdir(tmp_path) == ["c"]


KILLED = """
import os, sys, time
from pathlib import Path
import torch
from agents.checkpoint import save
from tests.agents.test_checkpoint import start
torch.set_num_threads(1)
algo = start(Path(sys.argv[1]))
save(algo, sys.argv[2])
while True:
    algo.num_timesteps += 1000
    child = os.fork()
    if child == 0:
        while True:
            algo.num_timesteps += 1
            with torch.no_grad():
                algo.policy.value_head.bias.fill_(algo.num_timesteps)
            save(algo, sys.argv[2])
    print(child, flush=True)
    os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(folder, tmp_path):
    place = tmp_path / "c"
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    delays = np.random.default_rng(0).uniform(0.0, 0.1, 8)

    def identity():
        return place.stat().st_ino if place.exists() else None

    with subprocess.Popen([sys.executable, "-c", KILLED, str(folder), str(place)], env=env, stdout=subprocess.PIPE, text=True) as parent:
        try:
            seen = set()
            for delay in delays:
                child = int(parent.stdout.readline())
                first = identity()
                while identity() == first:  # until a save of this child is complete, or half way
                    time.sleep(0.002)
                time.sleep(delay)
                os.kill(child, signal.SIGKILL)
                while Path(f"/proc/{child}").exists() and parent.poll() is None:
                    time.sleep(0.001)
                whole = find(place)
                assert whole is not None
                counters = json.loads((whole / "training" / "state.json").read_text())["counters"]
                assert load_file(whole / "value_head.safetensors")["bias"].item() == counters["num_timesteps"]
                seen.add(counters["num_timesteps"])
        finally:
            parent.kill()
    AutoModelForCausalLM.from_pretrained(find(place))
    assert len(seen) > 1  # some saves had been completed


def test_the_callback_warns_and_goes_on_but_not_at_the_end(folder, tmp_path):
    algo = start(folder)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.warns(UserWarning, match="could not save"), pytest.raises(CheckpointError, match="could not save"):
        algo.learn(ALL, callback=Checkpoints(blocked / "c", every=1))
    assert algo.num_timesteps == ALL


def test_the_callback_saves_every_few_iterations_and_at_the_end(folder, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(checkpoint, "save", lambda algo, *_, **__: saved.append(algo.num_timesteps))
    start(folder).learn(5 * ROWS * STEPS, callback=Checkpoints(tmp_path / "c", every=2))
    assert saved == [2 * ROWS * STEPS, 4 * ROWS * STEPS, 5 * ROWS * STEPS]


# Mistakes


def test_other_folders_are_left_alone(folder, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match="is not a checkpoint; it is left as it is"):
        save(start(folder), tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert find(save(start(folder), tmp_path / "empty"))


def test_mistakes_are_explained(folder, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint at .*nowhere"):
        load(tmp_path / "nowhere")
    saved = save(start(folder, learning_rate=lambda left: 1e-3 * left), tmp_path / "c")
    with pytest.raises(CheckpointError, match="not made from an id and plain arguments: pass env"):
        load(saved)
    with pytest.raises(CheckpointError, match=f"had {ROWS} environments side by side; env has 2"):
        load(saved, early_env(2))
    with pytest.raises(CheckpointError, match="learning_rate was a function of yours"):
        load(saved, early_env(ROWS))
    assert load(saved, early_env(ROWS), learning_rate=1e-3).learning_rate == 1e-3
    state = json.loads((saved / "training" / "state.json").read_text())
    for change, message in (
        ({"format": 99}, "has format 99; this version reads 1"),
        ({"algorithm": "os.system"}, "algorithm is 'os.system'"),
    ):
        (saved / "training" / "state.json").write_text(json.dumps({**state, **change}))
        with pytest.raises(CheckpointError, match=message):
            load(saved, early_env(ROWS))
    (saved / "training" / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot read the checkpoint"):
        load(saved, early_env(ROWS))


def test_classes_of_yours(folder, tmp_path):
    class Mine(PPO):
        pass

    made = start(folder)
    algo = Mine(type(made.policy), made.env, policy_kwargs=made.policy_kwargs, n_steps=4, batch_size=16)
    saved = save(algo, tmp_path / "c")
    with pytest.raises(CheckpointError, match="pass algorithm= with the class"):
        load(saved, early_env(ROWS, turns=2))
    again = load(saved, early_env(ROWS, turns=2), algorithm=Mine)
    assert type(again) is Mine and again.n_steps == 4
