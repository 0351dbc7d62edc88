import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import lm_envs
from lm_envs.tokens import TokenEnv
from lm_envs.vector import TextVectorEnv, TokenVectorEnv
from tests.lm_envs.toys import CountingReward, EchoEnv, byte_level, length_reward, plain_data

TOKENIZER = byte_level()
LIMITS = {"max_length": 220, "max_reply_tokens": 6}


def toys(count, **kwargs):
    reward = kwargs.pop("reward", length_reward)
    return [EchoEnv(reward=reward, max_turns=4, **kwargs) for _ in range(count)]


def flat(infos):
    """Infos with arrays as lists, so that they can be compared."""
    return {
        key: flat(value) if isinstance(value, dict) else np.asarray(value).tolist() for key, value in infos.items() if key != "final_obs"
    }


@pytest.mark.parametrize("potential", [None, length_reward])
@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_tokens_batched_and_single_are_the_same(mode, potential):
    limits = {**LIMITS, "potential": potential}
    batched = TokenVectorEnv(toys(3), TOKENIZER, autoreset_mode=mode, **limits)
    single = SyncVectorEnv([lambda env=env: TokenEnv(env, TOKENIZER, **limits) for env in toys(3)], autoreset_mode=mode)
    assert batched.single_observation_space == single.single_observation_space
    expected, actual = single.reset(seed=7), batched.reset(seed=7)
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(400):
        np.testing.assert_equal(actual[0], expected[0])
        actions = rng.integers(0, batched.single_action_space.n, size=3)
        actions[rng.random(3) < 0.2] = TOKENIZER.eos_token_id
        if rng.random() < 0.5:  # numbers that are right now and then, so that episodes also succeed
            actions[0] = TOKENIZER.convert_tokens_to_ids("1")
        expected, actual = single.step(actions), batched.step(actions)
        for ours, theirs in zip(actual[1:4], expected[1:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert flat(actual[4]) == flat(expected[4])
        for ours, theirs in zip(actual[4].get("final_obs", []), expected[4].get("final_obs", []), strict=True):
            np.testing.assert_equal(ours, theirs)
        ended += int((actual[2] | actual[3]).sum())
    assert ended > 20


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_text_batched_and_single_are_the_same(mode):
    batched, single = (
        TextVectorEnv(toys(3), autoreset_mode=mode),
        SyncVectorEnv([lambda env=env: env for env in toys(3)], autoreset_mode=mode),
    )
    expected, actual = single.reset(seed=[1, 5, 9]), batched.reset(seed=[1, 5, 9])
    for step in range(30):
        assert actual[0] == expected[0]
        replies = tuple(str(env.number) if (step + row) % 3 else "no" for row, env in enumerate(batched.envs))
        expected, actual = single.step(replies), batched.step(replies)
        for ours, theirs in zip(actual[1:4], expected[1:4], strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert flat(actual[4]) == flat(expected[4])
        done = actual[2] | actual[3]
        if mode is AutoresetMode.DISABLED and done.any():
            with pytest.raises(gym.error.ResetNeeded, match="reset_mask"):
                batched.step(replies)
            expected, actual = single.reset(options={"reset_mask": done.copy()}), batched.reset(options={"reset_mask": done})


def test_one_reward_call_for_all_replies_that_end_in_a_step():
    reward = CountingReward()
    env = TokenVectorEnv(toys(5, reward=reward), TOKENIZER, **LIMITS)
    env.reset(seed=0)
    letter = TOKENIZER.convert_tokens_to_ids("x")
    env.step(np.full(5, letter))
    assert reward.batches == []
    env.step(np.array([letter, TOKENIZER.eos_token_id, letter, TOKENIZER.eos_token_id, TOKENIZER.eos_token_id]))
    assert reward.batches == [3]
    text = TextVectorEnv(toys(4, reward=reward))
    text.reset(seed=0)
    text.step(("a", "b", "c", "d"))
    assert reward.batches == [3, 4]


def test_states_come_back_exactly():
    env, twin = (TokenVectorEnv(toys(3), TOKENIZER, **LIMITS) for _ in range(2))
    env.reset(seed=3)
    rng = np.random.default_rng(1)
    for _ in range(50):
        observation, *_ = env.step(rng.integers(0, 256, size=3))
    np.testing.assert_equal(twin.set_state(plain_data(env.get_state())), observation)
    for _ in range(50):
        actions = rng.integers(0, 256, size=3)
        np.testing.assert_equal(twin.step(actions)[:4], env.step(actions)[:4])


def test_observations_are_the_callers_own():
    env = TokenVectorEnv(toys(2), TOKENIZER, **LIMITS)
    observation, _ = env.reset(seed=0)
    kept = observation["input_ids"].copy()
    env.step(np.zeros(2, dtype=np.int64))
    np.testing.assert_array_equal(observation["input_ids"], kept)
    assert env.observation_space.contains(observation)


def test_attributes_and_calls():
    env = TextVectorEnv(toys(3))
    env.reset(seed=0)
    assert env.get_attr("rounds") == (3, 3, 3)
    env.set_attr("rounds", [1, 2, 3])
    assert env.get_attr("rounds") == (1, 2, 3)
    assert env.call("expert_reply") == tuple(str(each.number) for each in env.envs)
    with pytest.raises(ValueError, match="as many values"):
        env.set_attr("rounds", [1])
    assert env.np_random_seed == (0, 1, 2)


def test_wrong_use_says_what_is_expected():
    env = TokenVectorEnv(toys(2), TOKENIZER, **LIMITS)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2, dtype=np.int64))
    env.reset(seed=0)
    for actions in (np.zeros(3, dtype=np.int64), np.zeros(2), np.array([0, 10**6]), np.array([-1, 0])):
        with pytest.raises(gym.error.InvalidAction):
            env.step(actions)
    with pytest.raises(ValueError, match="one reward model"):
        TextVectorEnv([EchoEnv(reward=lambda e: [0.0] * len(e)), EchoEnv(reward=lambda e: [1.0] * len(e))])
    with pytest.raises(ValueError, match="at least one"):
        TextVectorEnv([])
    with pytest.raises(gym.error.InvalidAction, match="2 replies"):
        text = TextVectorEnv(toys(2))
        text.reset(seed=0)
        text.step("ab")
    with pytest.raises(ValueError, match="seeds"):
        env.reset(seed=[1])


def test_tokenize_a_batch():
    env = lm_envs.tokenize(TextVectorEnv(toys(2)), TOKENIZER, **LIMITS)
    assert isinstance(env, TokenVectorEnv) and env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


def test_shaping_asks_once_a_step_for_all_replies_that_go_on():
    potential = CountingReward()
    envs = TokenVectorEnv(toys(3), TOKENIZER, potential=potential, **LIMITS)
    envs.reset(seed=0)
    letter, end = TOKENIZER.convert_tokens_to_ids("x"), TOKENIZER.eos_token_id
    for actions in ([letter] * 3, [letter, end, letter], [end] * 3):
        envs.step(np.array(actions))
    assert potential.batches == [3, 2]


def test_shaping_begins_anew_with_an_episode():
    envs = TokenVectorEnv(toys(2), TOKENIZER, potential=length_reward, **LIMITS)
    envs.reset(seed=0)
    letter = TOKENIZER.convert_tokens_to_ids("x")
    assert envs.step(np.array([letter] * 2))[1].tolist() == pytest.approx([0.01, 0.01])
    envs.reset(seed=1, options={"reset_mask": np.array([True, False])})
    assert envs.step(np.array([TOKENIZER.eos_token_id] * 2))[1].tolist() == pytest.approx([0.0, 0.0])


def test_a_shaped_batch_comes_back_to_its_state():
    batch = TokenVectorEnv(toys(2), TOKENIZER, potential=length_reward, **LIMITS)
    batch.reset(seed=3)
    letter = TOKENIZER.convert_tokens_to_ids("x")
    batch.step(np.array([letter, letter]))
    other = TokenVectorEnv(toys(2), TOKENIZER, potential=length_reward, **LIMITS)
    other.set_state(plain_data(batch.get_state()))
    actions = np.array([letter, TOKENIZER.eos_token_id])
    assert batch.step(actions)[1].tolist() == other.step(actions)[1].tolist() == pytest.approx([0.01, 0.0])
