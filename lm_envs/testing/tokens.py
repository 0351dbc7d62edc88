"""Checks of token environments: each takes a function that makes a new one, and its docstring says what holds."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from lm_envs.testing.expecting import Make, check_with_gymnasium, expect, expect_equal, expect_raises, from_specs, through_json
from lm_envs.tokens import VIOLATIONS, Observation, TokenEnv
from lm_envs.validation import play, text_env

_EPISODES = 3
_OPENINGS = 20

Writer = Callable[[TokenEnv], Iterator[int]]  # the ids of one reply; more than fit is fine


class Written(NamedTuple):
    """One token and what it brought."""

    before: list[int]
    token: int
    after: list[int]
    outcome: tuple[float, bool, bool, dict[str, Any]]


def gymnasium_api(make: Make) -> None:
    """Gymnasium's checker accepts it without warnings."""
    check_with_gymnasium(make())


def observations_are_padded_arrays(make: Make) -> None:
    """Observations are int64 ids and an int8 mask of the context's length, ones and then zeros, padded with one id."""
    env = make()
    for seed in range(_OPENINGS):
        observation, _ = env.reset(seed=seed)
        _checked_ids(env, observation)
    env.action_space.seed(0)
    for _ in range(50):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        _checked_ids(env, observation)
        if terminated or truncated:
            env.reset()


def expert_tokens_only_append(make: Make) -> None:
    """With the expert's tokens every observation begins with the one before and the token, through every turn boundary."""
    _check_appending(make, lambda env: iter(env.expert_tokens()))


def random_tokens_only_append(make: Make) -> None:
    """With random tokens every observation begins with the one before and the token, through every turn boundary."""
    _check_appending(make, _random_tokens)


def expert_fits(make: Make) -> None:
    """The expert's replies fit into ``max_reply_tokens`` and its episodes into the context, and read as at the text level."""
    env = make()
    for seed in range(_EPISODES):
        env.reset(seed=seed)
        over = False
        while not over:
            reply = text_env(env).expert_reply()
            tokens = env.expert_tokens()
            expect(
                len(tokens) <= env.max_reply_tokens,
                f"expected the expert's replies within {env.max_reply_tokens} tokens, one has {len(tokens)}",
            )
            said = len(text_env(env).messages)
            for token in tokens:
                _, _, terminated, truncated, info = env.step(token)
            expect(info, "expected the expert's last token to end the reply")
            heard = text_env(env).messages[said]["content"]
            expect(heard.split() == reply.split(), f"expected the reply {reply!r} from its own tokens, got {heard!r}")
            over = terminated or truncated
        expect(not truncated, f"expected the expert's episodes to fit into {env.max_length} tokens, that of seed {seed} doesn't")


def rewards_arrive_with_the_last_token(make: Make) -> None:
    """Inside a reply reward is 0 and info empty; its last token brings the reward and info of the text environment."""
    env = make()
    for seed in range(_EPISODES):
        twin = copy.deepcopy(text_env(env))
        _, opened = twin.reset(seed=seed)
        env.action_space.seed(seed)
        _, info = env.reset(seed=seed)
        expect_equal(info, _with_violations(opened), "expected reset's info to be that of the text environment")
        for before, token, after, (reward, terminated, truncated, info) in _write(env, _random_tokens, None):
            if not info:
                expect((reward, terminated, truncated) == (0.0, False, False), f"expected nothing inside a reply, got reward {reward}")
                continue
            reply = next(message for message in text_env(env).messages[len(twin.messages) :])["content"]
            _, expected, ended, _, text_info = twin.step(reply)
            expect((reward, terminated) == (expected, ended), f"expected reward and end of the text environment, {expected}, got {reward}")
            expect_equal(info, _with_violations(text_info), "expected the info of the text environment")
            if token in env.chat.stop_ids and not (terminated or truncated):
                expect(len(after) > len(before) + 1, "expected the generation prompt after a reply that isn't the last")


def forbidden_tokens_end_the_reply(make: Make) -> None:
    """A forbidden id ends the reply, isn't written, and is counted in the metrics."""
    env = make()
    expect(
        set(env.action_space.forbidden.tolist()) == set(env.chat.forbidden_ids),
        "expected the action space to carry the chat format's forbidden ids",
    )
    for token in sorted(env.chat.forbidden_ids)[:20]:
        before = _checked_ids(env, env.reset(seed=1)[0])
        observation, _, _, _, info = env.step(token)
        after = _checked_ids(env, observation)
        expect(after[: len(before)] == before, f"expected the observation to grow after the forbidden id {token}")
        expect(
            info.get("metrics", {}).get(VIOLATIONS) == 1.0,
            f"expected the forbidden id {token} to end the reply and count as {VIOLATIONS!r}",
        )
        expect(text_env(env).messages[-1]["content"] == "" or text_env(env).turn == 1, "expected one reply")


def stop_ids_end_the_reply(make: Make) -> None:
    """Each stop id ends the reply, an empty one too."""
    env = make()
    expect(env.chat.stop_ids, "expected a stop id")
    expect(not env.chat.stop_ids & env.chat.forbidden_ids, "expected stop ids to be allowed")
    for token in env.chat.stop_ids:
        env.reset(seed=1)
        said = len(text_env(env).messages)
        *_, info = env.step(token)
        expect(info, f"expected the stop id {token} to end the reply")
        expect(text_env(env).messages[said]["content"] == "", "expected an empty reply from a stop id alone")


def long_replies_are_cut(make: Make) -> None:
    """A reply without end is cut after ``max_reply_tokens`` and what follows is appended."""
    env = make()
    token = next(token for token in env.chat.encode_reply("a a a") if token not in env.chat.stop_ids)
    before = _checked_ids(env, env.reset(seed=1)[0])
    room = min(env.max_reply_tokens, env.max_length - len(before))
    for position in range(room):
        observation, _, _, _, info = env.step(token)
        expect(bool(info) == (position == room - 1), f"expected the reply to end at token {room}, it did at {position + 1}")
    after = _checked_ids(env, observation)
    expect(after[: len(before) + room] == before + [token] * room, "expected the tokens as they were written")


def wrong_actions_are_refused(make: Make) -> None:
    """An action outside the space, or out of place, is refused and changes nothing."""
    env, twin = make(), make()
    expect_raises(gym.error.ResetNeeded, (), lambda: env.step(0), "a step before the first reset")
    env.reset(seed=2)
    twin.reset(seed=2)
    for action in (-1, env.chat.vocab_size, 1.5, "x", None):
        expect_raises(gym.error.InvalidAction, (), lambda action=action: env.step(action), f"the action {action!r}")  # type: ignore[misc]
    token = env.expert_tokens()[0]
    expect_equal(env.step(token), twin.step(token), "expected refused actions to change nothing")


def deterministic(make: Make) -> None:
    """Two copies with the same seed and tokens agree, whatever another one does meanwhile."""
    first, other, second = make(), make(), make()
    for seed in range(_EPISODES):
        steps = [step for step in _write(first, _random_tokens, seed)]
        other.reset(seed=seed + 100)
        second.reset(seed=seed)
        for step in steps:
            if _write_one(other):
                other.reset()
            observation, *outcome = second.step(step.token)
            found = (_checked_ids(second, observation), tuple(outcome))
            expect_equal(found, (step.after, step.outcome), "expected the same from the same seed and tokens in two copies")


def states_come_back(make: Make) -> None:
    """``get_state`` is plain data with which another copy goes on alike, inside replies too and into the next episode."""
    env = make()
    env.action_space.seed(3)
    env.reset(seed=3)
    over = False
    for count in range(40):
        if count % 5 == 0:
            twin = make()
            twin.set_state(through_json(env.get_state()))
        token = env.action_space.sample()
        expected = env.step(token)
        expect_equal(twin.step(token), expected, "expected the same step after set_state")
        over = expected[2] or expected[3]
        if over:
            break
    expect_equal(twin.reset(), env.reset(), "expected the same next episode after set_state")


def pickles_and_specs_come_back(make: Make) -> None:
    """A pickled copy goes on alike, and so does one made from the spec, where there is one."""
    env = make()
    env.reset(seed=4)
    twin = pickle.loads(pickle.dumps(env))
    for token in env.expert_tokens():
        expect_equal(twin.step(token), env.step(token), "expected a pickled copy to go on alike")
    for again in from_specs(env):
        expected = [turn.messages for turn in play(env, "expert", seed=6).turns]
        expect_equal([turn.messages for turn in play(again, "expert", seed=6).turns], expected, "expected the same from the env's spec")


CHECKS = (
    gymnasium_api,
    observations_are_padded_arrays,
    expert_tokens_only_append,
    random_tokens_only_append,
    expert_fits,
    rewards_arrive_with_the_last_token,
    forbidden_tokens_end_the_reply,
    stop_ids_end_the_reply,
    long_replies_are_cut,
    wrong_actions_are_refused,
    deterministic,
    states_come_back,
    pickles_and_specs_come_back,
)


def _checked_ids(env: TokenEnv, observation: Observation) -> list[int]:
    """The ids of an observation without padding."""
    expect(set(observation) == {"input_ids", "attention_mask"}, f"expected input_ids and attention_mask, got {sorted(observation)}")
    ids, mask = observation["input_ids"], observation["attention_mask"]
    shape = (env.max_length,)
    expect((ids.shape, ids.dtype) == (shape, np.int64), f"expected input_ids of shape {shape} and int64, got {ids.shape}, {ids.dtype}")
    expect(
        (mask.shape, mask.dtype) == (shape, np.int8), f"expected attention_mask of shape {shape} and int8, got {mask.shape}, {mask.dtype}"
    )
    length = int(mask.sum())
    expect(mask[:length].all() and not mask[length:].any(), "expected the attention mask to be ones and then zeros")
    expect((ids[length:] == env.chat.pad_id).all(), f"expected padding with the id {env.chat.pad_id}")
    expect(env.observation_space.contains(observation), "expected an observation in the space")
    return [int(token) for token in ids[:length]]


def _random_tokens(env: TokenEnv) -> Iterator[int]:
    """Tokens that may be written; the one that ends a reply comes about every tenth time."""
    stops = sorted(env.chat.stop_ids)
    while True:
        yield int(env.action_space.sample()) if env.action_space.np_random.random() < 0.9 else stops[0]


def _write(env: TokenEnv, writer: Writer, seed: int | None) -> Iterator[Written]:
    """An episode; with ``seed`` it is begun first."""
    if seed is not None:
        env.action_space.seed(seed)
        env.reset(seed=seed)
    before = list(env.get_state()["ids"])
    over = False
    while not over:
        for token in writer(env):
            observation, reward, terminated, truncated, info = env.step(token)
            after = _checked_ids(env, observation)
            yield Written(before, token, after, (float(reward), terminated, truncated, info))
            before, over = after, terminated or truncated
            if info:
                break


def _write_one(env: TokenEnv) -> bool:
    """Write a random token; whether the episode has ended."""
    _, _, terminated, truncated, _ = env.step(env.action_space.sample())
    return terminated or truncated


def _check_appending(make: Make, writer: Writer) -> None:
    env = make()
    for seed in range(_EPISODES):
        for before, token, after, (_, terminated, truncated, _) in _write(env, writer, seed):
            expected = before + [token]
            expect(
                after[: len(expected)] == expected, f"expected the observation before and the token {token}, what was written has changed"
            )
            expect(not (terminated and truncated), "expected terminated and truncated never to be both true")


def _with_violations(info: dict[str, Any]) -> dict[str, Any]:
    return {**info, "metrics": {**info["metrics"], VIOLATIONS: 0.0}}
