"""Each check passes on a sound environment and catches at least one that breaks what it is about."""

import random

import gymnasium as gym
import numpy as np
import pytest

from lm_envs.core import Opening, Response
from lm_envs.testing import EnvCheckError, check_text_env, check_token_env, check_vector, running, text, tokens, vector
from lm_envs.tokens import TokenEnv
from lm_envs.vector import TextVectorEnv, TokenVectorEnv
from tests.lm_envs import toy_tokenizers
from tests.lm_envs.toys import EchoEnv, byte_level


def right_reward(exchanges):
    """1 a right number, and 0 for each that isn't."""
    return [exchange.signals["right"] for exchange in exchanges]


class Sound(EchoEnv):
    default_reward = staticmethod(right_reward)

    def __init__(self, **kwargs):
        super().__init__(**{"max_turns": 4, **kwargs})


TOKENIZER = byte_level()


def sound_tokens(env=Sound, **kwargs):
    return TokenEnv(env(**kwargs), TOKENIZER, max_length=400, max_reply_tokens=12)


def problems(checks, make):
    return {finding.name: finding.problem for finding in (running._finding(check, make) for check in checks) if finding.problem}


def test_a_sound_environment_passes_everything():
    check_text_env(Sound)
    check_token_env(sound_tokens)
    check_vector(Sound)
    check_vector(sound_tokens)


@pytest.mark.parametrize(
    "tokenizer", [toy_tokenizers.gpt2(), toy_tokenizers.chatml(), toy_tokenizers.llama()], ids=["gpt2", "chatml", "llama"]
)
def test_token_checks_pass_with_tokenizers_of_every_kind(tokenizer):
    def make(**kwargs):
        return TokenEnv(Sound(**kwargs), tokenizer, max_length=600, max_reply_tokens=12)

    check_token_env(make)
    check_vector(make)


def test_ids_and_findings():
    gym.register("checked/Sound-v0", entry_point=f"{__name__}:Sound", vector_entry_point=f"{__name__}:batch_of")
    findings = list(running.run("checked/Sound-v0"))
    assert [finding.problem for finding in findings if finding.problem] == []
    assert [finding.name for finding in findings] == [check.__name__ for check in (*text.CHECKS, *vector.CHECKS)]
    assert all(finding.expects.endswith(".") for finding in findings)


def batch_of(num_envs, **kwargs):
    return TextVectorEnv([Sound(reward=right_reward) for _ in range(num_envs)], **kwargs)


def test_what_is_no_such_environment_is_refused():
    with pytest.raises(TypeError, match="expected a TextEnv, got CartPoleEnv"):
        check_text_env("CartPole-v1")
    with pytest.raises(TypeError, match="expected a TokenEnv, got Sound"):
        check_token_env(Sound)


# What each check catches: an environment broken in one way, the check, and what it says.


class GlobalRandom(Sound):
    def _draw(self):
        return random.randrange(1000, 5000) * 2 + (self.split == "test")


class SharedState(Sound):
    drawn = 0

    def respond(self, reply):
        SharedState.drawn += 1
        response = super().respond(reply)
        return Response(response.messages, response.terminated, {**response.metrics, "right": SharedState.drawn}, response.signals)


class OneScenario(Sound):
    def _draw(self):
        return 1234


class SameSplits(Sound):
    def open(self, options):
        opening = super().open(options)
        return Opening(opening.messages, {"id": str(self.number // 500)}, opening.metrics)


class LeakyInfo(Sound):
    def _info(self):
        return {**super()._info(), "goal": self.number}


class NewMetric(Sound):
    def respond(self, reply):
        response = super().respond(reply)
        return Response(response.messages, response.terminated, {**response.metrics, "late": 1.0}, response.signals)


class InfiniteMetric(Sound):
    def respond(self, reply):
        response = super().respond(reply)
        return Response(response.messages, response.terminated, {**response.metrics, "right": float("nan")}, response.signals)


class UnsummedReward(Sound):
    def settle(self, score):
        messages, reward, *rest = super().settle(score)
        return messages, reward + 1, *rest


class NumpyReward(Sound):
    def settle(self, score):
        messages, reward, *rest = super().settle(score)
        return messages, np.float32(reward), *rest


class BothEnds(Sound):
    def settle(self, score):
        messages, reward, terminated, _, info = super().settle(score)
        return messages, reward, terminated, terminated, info


class Rewrites(Sound):
    def settle(self, score):
        messages, *rest = super().settle(score)
        self._messages = ({"role": "system", "content": "New orders."}, *messages[1:])
        return self._messages, *rest


class IllFormed(Sound):
    def respond(self, reply):
        response = super().respond(reply)
        return Response(({"role": "user", "content": "\ud800"},), response.terminated, response.metrics, response.signals)


class TruncatesOnTurns(Sound):
    def settle(self, score):
        messages, reward, terminated, truncated, info = super().settle(score)
        return messages, reward, False, terminated or truncated, info


class WeakExpert(Sound):
    def expert_reply(self):
        return "I don't know"


class LooksAtReward(Sound):
    def settle(self, score):
        self._metrics["right"] = float(score.total)
        return super().settle(score)


class Unpicklable(Sound):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.draw = lambda: 1


class HiddenState(Sound):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.luck = 0

    def open(self, options):
        self.luck = self.luck + 1
        return super().open(options)

    def respond(self, reply):
        response = super().respond(reply)
        return Response(response.messages, response.terminated, {**response.metrics, "right": self.luck}, response.signals)


class TakesAnything(Sound):
    def __init__(self, no_such_argument=0, **kwargs):
        super().__init__(**kwargs)


class TakesNumbers(Sound):
    def advance(self, reply):
        return super().advance(str(reply)[: self.action_space.max_chars])


class Parses(Sound):
    def respond(self, reply):
        if reply:
            float(reply.encode("ascii", "strict"))
        return super().respond(reply)


class Aliases(Sound):
    def _info(self):
        return {"scenario": self._scenario["id"], "metrics": self._metrics}

    def _with_turns(self, metrics):
        self._kept = getattr(self, "_kept", {})
        self._kept.update(super()._with_turns(metrics))
        return self._kept


class RawRender(Sound):
    def render(self):
        return "assistant: " + self.messages[-3]["content"]


@pytest.mark.parametrize(
    ("broken", "check", "says"),
    [
        (GlobalRandom, text.deterministic, "same seed"),
        (SharedState, text.deterministic, "same seed"),
        (GlobalRandom, text.seeds_matter, "same seeds"),
        (OneScenario, text.seeds_matter, "all have the id 'train/1234'"),
        (SameSplits, text.splits_are_disjoint, "disjoint"),
        (LeakyInfo, text.infos_hold_the_contract, "and no others"),
        (NewMetric, text.infos_hold_the_contract, "as after reset"),
        (InfiniteMetric, text.infos_hold_the_contract, "finite float"),
        (UnsummedReward, text.infos_hold_the_contract, "components sum to"),
        (NumpyReward, text.steps_hold_the_contract, "finite float"),
        (BothEnds, text.steps_hold_the_contract, "both true"),
        (Rewrites, text.steps_hold_the_contract, "to grow"),
        (IllFormed, text.steps_hold_the_contract, "well-formed"),
        (TruncatesOnTurns, text.turn_limit_terminates, "expected termination"),
        (WeakExpert, text.expert_succeeds, "expert's mean reward above"),
        (LooksAtReward, text.metrics_ignore_the_reward_model, "same metrics"),
        (Unpicklable, text.pickles_and_specs_come_back, "pickle"),
        (HiddenState, text.states_come_back, "after set_state"),
        (TakesAnything, text.unknown_arguments_are_refused, "nothing was raised"),
        (TakesNumbers, text.wrong_actions_are_refused, "nothing was raised"),
        (Parses, text.any_text_is_accepted, "ValueError"),
        (Aliases, text.copies_share_nothing, "stay as it was"),
        (RawRender, text.renders, "shown, not sent"),
    ],
)
def test_a_broken_environment_is_caught(broken, check, says):
    finding = running._finding(check, broken)
    assert finding.problem and says in finding.problem


def test_gymnasiums_checker_and_its_warnings_count():
    class NoSeed(Sound):
        def reset(self, *, seed=None, options=None):
            return super().reset(seed=None, options=options)

    assert "gymnasium_api" in problems([text.gymnasium_api], NoSeed)

    class Warns(Sound):
        def reset(self, *, seed=None, options=None):
            gym.logger.warn("something odd")
            return super().reset(seed=seed, options=options)

    assert "something odd" in problems([text.gymnasium_api], Warns)["gymnasium_api"]


class Reencodes(TokenEnv):
    """Decodes and encodes again what was written, as a naive environment would."""

    def step(self, action):
        *rest, info = super().step(action)
        if info:
            self._ids[-1:] = self.tokenizer.encode("~~")
        return self._observation(), *rest[1:], info


class EarlyReward(TokenEnv):
    def step(self, action):
        observation, reward, *rest = super().step(action)
        return observation, reward + 0.1, *rest


class WritesForbidden(TokenEnv):
    def step(self, action):
        if int(action) in self.chat.forbidden_ids:
            self._ids.append(int(action))
            return self._observation(), 0.0, False, False, {}
        return super().step(action)


class PadsLeft(TokenEnv):
    def _observation(self):
        return {name: column[::-1].copy() for name, column in super()._observation().items()}


class Forgets(TokenEnv):
    def get_state(self):
        return {**super().get_state(), "reply_start": 0}


@pytest.mark.parametrize(
    ("broken", "check", "says"),
    [
        (Reencodes, tokens.random_tokens_only_append, "has changed"),
        (EarlyReward, tokens.rewards_arrive_with_the_last_token, "inside a reply"),
        (WritesForbidden, tokens.forbidden_tokens_end_the_reply, "end the reply"),
        (PadsLeft, tokens.observations_are_padded_arrays, "ones and then zeros"),
        (Forgets, tokens.states_come_back, "after set_state"),
    ],
)
def test_a_broken_token_environment_is_caught(broken, check, says):
    def make(**kwargs):
        return broken(Sound(**kwargs), TOKENIZER, max_length=400, max_reply_tokens=12)

    assert says in running._finding(check, make).problem


def test_limits_that_are_too_small_for_the_expert_are_caught():
    def small(**kwargs):
        return TokenEnv(Sound(**kwargs), TOKENIZER, max_length=120, max_reply_tokens=12)

    assert "doesn't" in problems([tokens.expert_fits], small)["expert_fits"]

    def short(**kwargs):
        return TokenEnv(Sound(**kwargs), TOKENIZER, max_length=400, max_reply_tokens=2)

    assert "within 2 tokens" in problems([tokens.expert_fits], short)["expert_fits"]


def test_a_batch_that_differs_is_caught():
    class Halved(TextVectorEnv):
        def step(self, actions):
            observations, rewards, *rest = super().step(actions)
            return observations, rewards / 2, *rest

    class Late(TokenVectorEnv):
        def _append(self, row, ids):
            super()._append(row, [*ids[:-1], 0] if row == 2 else ids)

    with pytest.raises(EnvCheckError, match="same_step: expected reward and ends"):
        check_vector(Sound, lambda n, **kw: Halved([Sound() for _ in range(n)], **kw))
    with pytest.raises(EnvCheckError, match="observation of the single environment in row 2"):
        check_vector(
            sound_tokens,
            lambda n, **kw: Late([Sound() for _ in range(n)], TOKENIZER, max_length=400, max_reply_tokens=12, **kw),
        )


def test_errors_list_every_failed_check():
    with pytest.raises(EnvCheckError, match=r"(?s)checks failed\n- .*expert_succeeds: .*") as caught:
        check_text_env(WeakExpert)
    assert isinstance(caught.value, AssertionError)
