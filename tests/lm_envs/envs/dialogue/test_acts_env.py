import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import lm_envs  # noqa: F401
from lm_envs.envs.dialogue import acts, acts_env
from lm_envs.envs.dialogue.acts import ACTS, OF_CANDIDATE, STATE, Act
from lm_envs.envs.dialogue.acts_env import NUMBER
from lm_envs.envs.dialogue.persona import topics
from tests.lm_envs.envs.dialogue.people import index, invented

__all__ = ["invented"]

ID = "lm_envs/DialogueActs-v0"
HUMAN = {"partner": "human-data"}
RETRIEVED = {"partner": "human-data", "candidates": "retrieved", "count": 5}


def make(**arguments):
    return gym.make(ID, disable_env_checker=True, **arguments).unwrapped


def play(env, choose, seed):
    """Return and last info of an episode; ``choose(env, info)`` is the next action."""
    observation, info = env.reset(seed=seed)
    total, over = 0.0, False
    while not over:
        assert observation in env.observation_space and info["action_mask"].any()
        observation, reward, over, truncated, info = env.step(choose(env, info))
        assert not truncated
        total += reward
    return total, info


def test_acts_and_names():
    assert len(ACTS) == len(set(ACTS)) == 88 and ACTS[0] == ("", False, "") and len(set(STATE)) == len(STATE)
    assert ACTS[NUMBER[Act("sympathy", True, "ask pet")]].topic == "pet" and Act("", False, "follow").topic == ""


@pytest.mark.parametrize("arguments", [{}, HUMAN, RETRIEVED, {"candidates": "retrieved"}])
def test_gymnasium_and_stable_baselines3_accept_it(invented, arguments):
    check_env(make(**arguments), skip_render_check=True)
    pytest.importorskip("stable_baselines3.common.env_checker").check_env(make(**arguments), warn=False)


@pytest.mark.parametrize("arguments", [{}, RETRIEVED])
def test_it_is_the_text_level(invented, arguments):
    text_arguments = {name: value for name, value in arguments.items() if name == "partner"}
    env, text = make(**arguments), gym.make("lm_envs/Dialogue-v0", disable_env_checker=True, **text_arguments).unwrapped
    rng = np.random.default_rng(0)
    for seed in range(5):
        _, info = env.reset(seed=seed)
        _, expected = text.reset(seed=seed)
        over = False
        while not over:
            assert info["scenario"] == expected["scenario"] and info["metrics"] == expected["metrics"]
            action = int(rng.choice(np.flatnonzero(info["action_mask"])))
            said = env.reply(action)
            _, reward, over, _, info = env.step(action)
            assert info["reply"] == said
            _, plain, _, _, expected = text.step(said)
            assert reward == plain and info["rewards"] == expected["rewards"]


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_expert_does_well_and_chance_and_silence_less(split):
    env = make(split=split)
    rng = np.random.default_rng(0)
    expert = [play(env, lambda env, info: env.expert_action(), seed)[0] for seed in range(40)]
    chance = [play(env, lambda env, info: int(rng.integers(88)), seed)[0] for seed in range(40)]
    silent = [play(env, lambda env, info: 0, seed)[0] for seed in range(5)]
    assert np.mean(expert) > 0.95 and np.mean(chance) < 0.65 and np.allclose(silent, -0.1)


def test_the_expert_beats_chance_where_it_looks_ahead(invented):
    env = make(**HUMAN)
    rng = np.random.default_rng(0)
    expert = [play(env, lambda env, info: env.expert_action(), seed)[0] for seed in range(5)]
    chance = [play(env, lambda env, info: int(rng.choice(np.flatnonzero(info["action_mask"]))), seed)[0] for seed in range(5)]
    assert np.mean(expert) > np.mean(chance)


def test_what_is_seen_of_the_conversation():
    env = make()
    observation, _ = env.reset(seed=0)
    seen = dict(zip(STATE, observation, strict=True))
    assert seen["turn"] == 0 and seen["cue opening"] == 1 and seen["misfits"] == 0
    observation, *_ = env.step(0)
    seen = dict(zip(STATE, observation, strict=True))
    assert seen["cue silent"] == 1 and seen["misfits"] == pytest.approx(1 / 3) and seen["turn"] == pytest.approx(1 / 6)
    told = [play(env, lambda env, info: env.expert_action(), 1), env._told][1]
    assert sum(told.values()) >= 4 and set(told) == set(topics())


def test_the_expert_chooses_the_best_candidate(invented):
    env = make(**RETRIEVED)
    for seed in range(5):
        env.reset(seed=seed)
        worth = {}
        for action in np.flatnonzero(env.action_mask()):
            twin = pickle.loads(pickle.dumps(env))
            worth[int(action)] = twin.step(int(action))[1]
        assert worth[env.expert_action()] == max(worth.values())


def test_candidates_are_replies_from_conversations_of_their_own(invented):
    env = make(**RETRIEVED)
    own = {exchange.answer for exchange in invented["agent"].corpus.exchanges}
    env.reset(seed=0)
    offered = [text for text, _ in env._offered]
    assert offered and set(offered) <= own and len(set(offered)) == len(offered)
    env.step(0)
    assert offered[0] not in [text for text, _ in env._offered]


def test_a_candidate_in_numbers(invented):
    env = make(**RETRIEVED)
    env.reset(seed=0)
    partner = env.talk.partner
    seen = dict(zip(OF_CANDIDATE, acts.described("I am sorry. Do you have pets? you idiot", 0.4, partner, []), strict=True))
    assert (seen["there"], seen["likeness"], seen["topic"], seen["bad"], seen["own"], seen["unsafe"]) == (1, 0.4, 1, 1, 0, 1)
    assert acts.described("", 0.0, partner, []) == [0.0] * len(OF_CANDIDATE)
    assert acts.described("word " * 60, 1.0, partner, ["word word word"])[3] == 1


def test_where_nothing_was_ever_said_there_is_silence(monkeypatch):
    empty = index("agent", [])
    monkeypatch.setattr(acts_env.retrieval, "load", lambda part, vectors="words": empty)
    env = make(candidates="retrieved")
    _, info = env.reset(seed=0)
    assert info["action_mask"].all() and env.step(3)[4]["reply"] == ""


def test_copies_go_on_alike_and_actions_are_checked():
    env = make()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env.reset(seed=1)
    twin = pickle.loads(pickle.dumps(env))
    for action in (30, 51):
        np.testing.assert_equal(twin.step(action), env.step(action))
    with pytest.raises(gym.error.InvalidAction, match="from 0 to 87; got 88"):
        env.step(88)
    for wrong in ({"candidates": "all"}, {"features": "bert"}, {"count": 1}):
        with pytest.raises(ValueError):
            make(**wrong)


def test_embeddings_are_appended(monkeypatch):
    monkeypatch.setattr(acts_env.embeddings, "embed", lambda texts: np.full((len(texts), 384), -0.05, np.float32))
    env = make(features="minilm")
    observation, _ = env.reset(seed=0)
    assert observation.shape == (len(STATE) + 384,) and observation in env.observation_space
