import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from stable_baselines3.common.vec_env.util import obs_space_info

from agents.algorithms import make
from agents.vec_env import SB3VecEnv
from lm_envs.tokens import TokenEnv
from lm_envs.vector import TokenVectorEnv
from tests.agents.tasks import EarlyEnv, save_small_model
from tests.lm_envs.toys import EchoEnv, byte_level, length_reward

SAME_STEP = AutoresetMode.SAME_STEP


class Walk(gym.Env):
    """Counts up to a random goal; infos of many shapes, some of them only now and then; a time limit that can coincide with the end."""

    metadata = {"render_modes": ["ansi", "rgb_array"]}

    def __init__(self, render_mode=None):
        self.observation_space = spaces.Dict({"at": spaces.Box(0, 100, (2,), np.int64), "noise": spaces.Box(-1, 1, (1,), np.float32)})
        self.action_space = spaces.Discrete(3)
        self.render_mode = render_mode
        self.bonus = 0.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.goal = int(self.np_random.integers(2, 7))
        self.at = (options or {}).get("start", 0)
        self.steps = 0
        return self._observe(), {"goal": self.goal, "begun": True}

    def step(self, action):
        self.at += int(action)
        self.steps += 1
        info = {"metrics": {"at": float(self.at), "deep": {"goal": self.goal}}, "name": f"walk {self.at}"}
        if action == 2:
            info["jump"] = np.array([self.at, self.goal])
        reached = self.at >= self.goal
        return self._observe(), reached / 3 + self.bonus, reached, self.steps >= 4, info

    def render(self):
        return f"at {self.at}" if self.render_mode == "ansi" else np.full((2, 2, 3), self.at, dtype=np.uint8)

    def double(self, x, plus=0):
        return 2 * x + plus + self.goal

    def _observe(self):
        return {"at": np.array([self.at, self.goal]), "noise": self.np_random.uniform(-1, 1, 1).astype(np.float32)}


class Outer(gym.Wrapper):
    """Does nothing, but is there."""


def pair(count=3, seed=11, **kwargs):
    ours = SB3VecEnv(SyncVectorEnv([lambda: Outer(Walk(**kwargs))] * count, autoreset_mode=SAME_STEP))
    theirs = DummyVecEnv([lambda: Outer(Walk(**kwargs)) for _ in range(count)])
    assert ours.seed(seed) == theirs.seed(seed)
    return ours, theirs


def assert_same_run(ours, theirs, steps, sample, numbers=np.testing.assert_equal):
    """Both give the same observations, rewards, dones and infos; returns how many episodes ended, and how many were truncated."""
    numbers(ours.reset(), theirs.reset())
    numbers(ours.reset_infos, theirs.reset_infos)
    ended = truncated = 0
    for _ in range(steps):
        actions = sample()
        actual, expected = ours.step(actions), theirs.step(actions)
        numbers(actual[0], dict(expected[0]))
        for mine, other in zip(actual[1:3], expected[1:3], strict=True):
            assert mine.dtype == other.dtype
            numbers(mine, other)
        numbers(actual[3], expected[3])
        numbers(ours.reset_infos, theirs.reset_infos)
        ended += sum("terminal_observation" in info for info in actual[3])
        truncated += sum(info["TimeLimit.truncated"] for info in actual[3])
    return ended, truncated


@pytest.mark.parametrize("copy", [True, False])
def test_transitions_are_those_of_dummy_vec_env(copy):
    _, theirs = pair()
    ours = SB3VecEnv(SyncVectorEnv([Walk] * 3, autoreset_mode=SAME_STEP, copy=copy))
    ours.seed(11)
    rng = np.random.default_rng(0)
    ended, truncated = assert_same_run(ours, theirs, 100, lambda: rng.integers(0, 3, 3))
    assert ended > 30 and 0 < truncated < ended


def test_observations_survive_the_next_step_without_copies():
    env = SB3VecEnv(SyncVectorEnv([Walk] * 2, autoreset_mode=SAME_STEP, copy=False))
    before = env.reset()
    kept = before["at"].copy()
    env.step(np.array([1, 2]))
    assert np.array_equal(before["at"], kept)


def test_other_processes_give_the_same_transitions():
    _, theirs = pair(2)
    ours = SB3VecEnv(AsyncVectorEnv([Walk] * 2, autoreset_mode=SAME_STEP, context="fork"))
    try:
        ours.seed(11)
        rng = np.random.default_rng(0)
        assert assert_same_run(ours, theirs, 30, lambda: rng.integers(0, 3, 2))[0] > 5
        assert ours.get_attr("goal", [1]) == theirs.get_attr("goal", [1])
        assert ours.env_method("double", 4, plus=1) == theirs.env_method("double", 4, plus=1)
        ours.set_attr("bonus", 5.0)
        assert (ours.step(np.zeros(2, dtype=int))[1] >= 5).all()
        with pytest.raises(NotImplementedError, match="all rows at once"):
            ours.env_method("double", 4, indices=[0])
        assert ours.env_is_wrapped(Outer) == [False, False]
    finally:
        ours.close()


def test_token_environments_batched_and_single_give_the_same_transitions():
    tokenizer, limits = byte_level(), {"max_length": 160, "max_reply_tokens": 5}
    ours = SB3VecEnv(TokenVectorEnv([EchoEnv(reward=length_reward, max_turns=3) for _ in range(2)], tokenizer, **limits))
    theirs = DummyVecEnv([lambda: TokenEnv(EchoEnv(reward=length_reward, max_turns=3), tokenizer, **limits) for _ in range(2)])
    ours.seed(3)
    theirs.seed(3)
    rng = np.random.default_rng(1)

    def sample():
        return np.where(rng.random(2) < 0.2, tokenizer.eos_token_id, rng.integers(0, 256, 2))

    ended, truncated = assert_same_run(ours, theirs, 150, sample)
    assert ended > 10
    assert ours.get_attr("max_turns") == [3, 3]
    assert [t is tokenizer for t in ours.get_attr("tokenizer")] == [True, True]
    assert ours.has_attr("chat") and not ours.has_attr("no such thing")


def test_monitor_counts_returns_and_lengths():
    ours, theirs = (VecMonitor(env) for env in pair())
    rng = np.random.default_rng(0)
    ours.reset(), theirs.reset()
    episodes = [[], []]
    for _ in range(60):
        actions = rng.integers(0, 3, 3)
        for env, found in zip((ours, theirs), episodes, strict=True):
            found += [(info["episode"]["r"], info["episode"]["l"]) for info in env.step(actions)[3] if "episode" in info]
    assert len(episodes[0]) > 20 and episodes[0] == episodes[1]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode):
    with pytest.raises(ValueError, match=f"'{mode.value}'.*SAME_STEP"):
        SB3VecEnv(SyncVectorEnv([Walk], autoreset_mode=mode))


def test_seeds_and_options_are_used_once():
    ours, theirs = pair(seed=5)
    for env in (ours, theirs):
        env.set_options({"start": 1})
    np.testing.assert_equal(ours.reset(), theirs.reset())
    assert (ours.reset()["at"][:, 0] == 0).all()
    first = ours.reset()
    ours.seed(5)
    assert not np.array_equal(ours.reset()["noise"], first["noise"])
    with pytest.raises(ValueError, match="one options dictionary"):
        ours.set_options([{"start": 1}, {}, {}])
        ours.reset()


def test_attributes_and_methods_reach_the_chosen_rows():
    ours, theirs = pair()
    ours.reset(), theirs.reset()
    assert ours.get_attr("goal", [2, 0]) == theirs.get_attr("goal", [2, 0])
    assert ours.env_method("double", 3, plus=1, indices=1) == theirs.env_method("double", 3, plus=1, indices=1)
    assert ours.get_attr("double")[0](1) == theirs.get_attr("double")[0](1)  # a method is handed over, not called
    ours.set_attr("bonus", 7.0, indices=[1])
    assert ours.get_attr("bonus") == [0.0, 7.0, 0.0]
    assert ours.step(np.zeros(3, dtype=int))[1].tolist() == [0.0, 7.0, 0.0]
    ours.set_attr("bonus", [1, 2, 3])  # one value for each row, not one value a row
    assert ours.get_attr("bonus") == [[1, 2, 3]] * 3
    assert ours.env_is_wrapped(Outer) == [True] * 3
    assert ours.env_is_wrapped(gym.wrappers.TimeLimit, [0]) == [False]
    with pytest.raises(AttributeError):
        ours.get_attr("no such thing")


def test_environments_without_rows_say_so():
    env = SB3VecEnv(_Rowless())
    assert env.get_attr("gravity") == [9.8, 9.8]
    with pytest.raises(AttributeError, match="keeps its rows to itself"):
        env.set_attr("gravity", 1.0)
    with pytest.raises(AttributeError, match="keeps its rows to itself"):
        env.env_method("reset")


class _Rowless(gym.vector.VectorEnv):
    metadata = {"autoreset_mode": SAME_STEP}
    num_envs, render_mode, gravity = 2, None, 9.8
    single_observation_space = spaces.Discrete(2)
    single_action_space = spaces.Discrete(2)


def test_rendering():
    ours, _ = pair(2, render_mode="ansi")
    ours.reset()
    assert ours.render() == ("at 0", "at 0")
    pictures, theirs = pair(2, render_mode="rgb_array")
    pictures.reset(), theirs.reset()
    np.testing.assert_equal(pictures.render(), theirs.render())


def test_close_closes_rows():
    closed = []

    class Closing(Walk):
        def close(self):
            closed.append(self)

    SB3VecEnv(SyncVectorEnv([Closing] * 2, autoreset_mode=SAME_STEP)).close()
    assert len(closed) == 2


def test_spaces_are_those_of_one_row():
    ours, theirs = pair()
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    assert obs_space_info(ours.observation_space)[0] == obs_space_info(theirs.observation_space)[0]


def test_stock_ppo_asks_the_reward_model_once_for_all_replies_that_end_in_a_step(tmp_path):
    calls = []

    def counting(exchanges):
        calls.append(len(exchanges))
        return [0.0] * len(exchanges)

    tokenizer = byte_level()
    envs = TokenVectorEnv([EarlyEnv(reward=counting) for _ in range(6)], tokenizer, max_length=64, max_reply_tokens=4)
    ended = []
    inner = envs.step

    def step(actions):
        results = inner(actions)
        ended.append(int(results[2].sum()))
        return results

    envs.step = step
    make("ppo", envs, model=str(save_small_model(tmp_path / "model")), n_steps=16, batch_size=48, n_epochs=1).learn(6 * 16)
    assert calls == [count for count in ended if count] and max(calls) > 1
