"""`SentimentClassificationActsEnv`: the texts as vectors, the labels as numbers: a contextual bandit, or an optimal-stopping problem.

[0.05, -0.11, ..., 0.91]                    "I have not laughed so hard in a cinema for years."
> step(2)                                   "positive"      reward +1
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from lm_envs.core import one_of
from lm_envs.envs.sentiment_classification.env import MORE, SentimentClassificationEnv
from lm_envs.envs.sentiment_classification.features import FEATURES

Observation = npt.NDArray[np.float32]  # (dimensions + 1,)


class SentimentClassificationActsEnv(gym.Env[Observation, np.int64]):
    """Choose the label of a text that is given as a vector.

    ## Description
    The task of ``lm_envs/SentimentClassification-v0``: the same texts for the same seeds, the same reward and metrics. The agent neither
    reads nor writes. With one piece it is a contextual bandit; with several, a problem of when to stop.

    ## Observation
    A ``Box`` of float32 in [-1, 1]: what has been shown of the text as a vector, and the share of its words that this is. The
    vector is by ``features="words"``: 256 hashed words and pairs of words, polarity and share of polar words by the family's
    judge, and the length; or by ``"minilm"``: a sentence embedding of 384 numbers.

    ## Action
    ``Discrete(len(choices))``; ``choices`` are the labels, ``"negative"``, ``"neutral"`` and ``"positive"``, and with ``pieces`` above 1
    also ``"more"``. ``info["action_mask"]`` (int8), ``action_mask()`` and ``action_masks()`` (for sb3-contrib) say whether there is more to
    read, and a turn to do so; asking for it in vain costs as much.

    ## Reward
    That of the text level, in ``[-1 / (k - 1) - more_cost * (max_turns - 1), 1]`` an episode: 1 for the right label of k,
    ``-1 / (k - 1)`` for a wrong one, ``-more_cost`` for reading on.

    ## Termination
    When a label is chosen; after ``max_turns`` actions, as a failure.

    ## Truncation
    When the text level's conversation is full; never by default.

    ## Info
    ``scenario``, ``rewards`` and ``metrics`` as at the text level, and ``action_mask``.

    ## Scores
    Those of the text level: the expert 1, any fixed or random choice of labels 0 in the mean. `docs/sentiment.md` has those of linear
    classifiers on both kinds of text vectors.

    ## Arguments
    - ``features``: ``"words"`` (default; needs nothing) or ``"minilm"`` (needs torch, and the ``minilm`` asset, fetched when first used).
    - All of the text level: ``data``, ``columns``, ``domain``, ``labels``, ``pieces``, ``more_cost``, ``max_turns``, ``split``, ``reward``,
      ``render_mode``, ...

    ## Version history
    - v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 1}

    def __init__(self, *, features: Literal["words", "minilm"] = "words", **arguments: Any) -> None:
        self.features = one_of("features", features, FEATURES)
        self.reader = SentimentClassificationEnv(**arguments)
        self.render_mode = self.reader.render_mode
        self.choices: tuple[str, ...] = (*self.reader.labels, *([MORE] if self.reader.pieces > 1 else []))
        self._vector, dimensions = FEATURES[self.features]
        self.observation_space = spaces.Box(-1.0, 1.0, (dimensions + 1,), np.float32)
        self.action_space = spaces.Discrete(len(self.choices))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; there are no options."""
        super().reset(seed=seed)
        _, info = self.reader.reset(seed=seed, options=options)
        return self._observe(info), info | {"action_mask": self.action_mask()}

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Choose a label, or read on."""
        if not self.action_space.contains(action):
            raise gym.error.InvalidAction(f"an action is an integer from 0 to {len(self.choices) - 1}; got {action!r}")
        _, reward, terminated, truncated, info = self.reader.step(self.choices[int(action)])
        return self._observe(info), reward, terminated, truncated, info | {"action_mask": self.action_mask()}

    def action_mask(self) -> npt.NDArray[np.int8]:
        """1 for each label, and for ``"more"`` where it gets more; as ``action_space.sample(mask)`` takes it."""
        return np.array([choice != MORE or self.reader.can_read_on for choice in self.choices], np.int8)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """The same as booleans, as sb3-contrib's MaskablePPO asks for it."""
        return self.action_mask().astype(np.bool_)

    def expert_action(self) -> int:
        """The text's label, which the scripted expert knows."""
        return self.choices.index(self.reader.expert_reply())

    def render(self) -> str | None:  # type: ignore[override]
        """The transcript so far in ``"ansi"`` mode; ``None`` otherwise."""
        return self.reader.render()

    def _observe(self, info: dict[str, Any]) -> Observation:
        return np.append(self._vector(self.reader.shown), np.float32(info["metrics"]["read"]))
