"""`DialogueActsEnv`: the conversation for agents without words: a reply is chosen among candidates.

the partner spoke of its wallet, in a low tone
> step(NUMBER[Act("sympathy", False, "follow")])      "Oh no, your wallet. I am sorry. How did it happen?"
"""

from __future__ import annotations

from typing import Any, Literal

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from lm_envs import embeddings
from lm_envs.core import at_least, one_of
from lm_envs.envs.dialogue import acts, expert, retrieval
from lm_envs.envs.dialogue.acts import ACTS, OF_CANDIDATE, STATE, Act
from lm_envs.envs.dialogue.env import DialogueEnv
from lm_envs.envs.dialogue.human_data import HumanPartner
from lm_envs.envs.dialogue.persona import topics

Observation = npt.NDArray[np.float32]  # (dimensions,)

CANDIDATES = ("acts", "retrieved")
FEATURES = ("counts", "minilm")
NUMBER = {act: number for number, act in enumerate(ACTS)}


class DialogueActsEnv(gym.Env[Observation, np.int64]):
    """Choose what to say to a stranger, among acts or among replies that people gave.

    ## Description
    The task of ``lm_envs/Dialogue-v0``: the same partners for the same seeds, the same reward and metrics. The agent neither reads nor
    writes. What it chooses goes through the text level, where it is read, judged and answered as any other agent's reply.

    ## Observation
    A ``Box`` of float32 in [0, 1] (in [-1, 1] with ``features="minilm"``). First how the conversation stands, by the names in
    ``acts.STATE``: turns gone, misfits, whether the partner asked back, its tone, how it took the last reply, what is being talked about
    and what was asked about with success. A reader of the conversation knows as much; the partner's mood and facts are not in it. With
    ``candidates="retrieved"`` then, for each candidate, the numbers named in ``acts.OF_CANDIDATE``: likeness, length, questions, tone,
    whether it takes up what was said, repetition, ... With ``features="minilm"`` then a sentence embedding of the partner's last turn.

    ## Action
    ``Discrete(88)`` by default: ``acts.ACTS`` names for each number a reaction (none, taking up, sympathy, gladness), whether to say
    something of oneself, and a move (none, asking on, asking about one of nine topics). Words are drawn from ``lines.json``. The first
    says nothing. With ``candidates="retrieved"``: ``Discrete(count)``, what people answered to turns most like the partner's last, the
    likest first; from conversations that no partner speaks from. Where there are fewer, the rest say nothing. ``info["action_mask"]``
    (int8), ``action_mask()`` and ``action_masks()`` (for sb3-contrib) say which there are; there is always one.

    ## Reward
    That of the text level, in [-1, 1] an episode: in each turn ``0.6 learnt + 0.2 listening + 0.2 reaction - 0.4 repetition - 0.2
    irrelevance``, each a share of ``max_turns``.

    ## Termination
    When the partner leaves; after ``max_turns`` actions.

    ## Truncation
    When the text level's conversation is full; never by default.

    ## Info
    ``scenario``, ``rewards`` and ``metrics`` as at the text level; ``action_mask``; after an action also ``reply``: its text.

    ## Scores
    `docs/dialogue.md` has those of the expert, of random choice and of learners.

    ## Arguments
    - ``candidates``: ``"acts"`` (default), or ``"retrieved"`` (needs the ``chitchat`` asset, fetched when first used).
    - ``count``: of retrieved candidates; 8 by default.
    - ``features``: ``"counts"`` (default), or ``"minilm"`` (needs torch, and the ``minilm`` asset).
    - All of the text level: ``partner``, ``vectors``, ``max_turns``, ``split``, ``reward``, ``render_mode``, ...

    ## Version history
    - v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human"], "render_fps": 1}

    def __init__(
        self,
        *,
        candidates: Literal["acts", "retrieved"] = "acts",
        count: int = 8,
        features: Literal["counts", "minilm"] = "counts",
        **arguments: Any,
    ) -> None:
        self.candidates = one_of("candidates", candidates, CANDIDATES)
        self.features = one_of("features", features, FEATURES)
        count = at_least("count", count, 2)
        self.talk = DialogueEnv(**arguments)
        self.render_mode = self.talk.render_mode
        self._index = retrieval.load("agent") if candidates == "retrieved" else None
        self._count = count if self._index else len(ACTS)
        embedded = embeddings.DIMENSIONS if features == "minilm" else 0
        size = len(STATE) + (count * len(OF_CANDIDATE) if self._index else 0) + embedded
        self.observation_space = spaces.Box(-1.0 if embedded else 0.0, 1.0, (size,), np.float32)
        self.action_space = spaces.Discrete(self._count)
        self._said: list[str] = []
        self._offered: list[tuple[str, float]] = []

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; there are no options."""
        super().reset(seed=seed)
        _, info = self.talk.reset(seed=seed, options=options)
        self._wording = int(self.np_random.integers(2**32))
        self._said = []
        self._topic = topics()[0]
        self._told = dict.fromkeys(topics(), 0)
        return self._observe(), info | {"action_mask": self.action_mask()}

    def step(self, action: np.int64 | int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Say what was chosen."""
        if not self.action_space.contains(action):
            raise gym.error.InvalidAction(f"an action is an integer from 0 to {self._count - 1}; got {action!r}")
        reply = self.reply(int(action))
        _, reward, terminated, truncated, info = self.talk.step(reply)
        self._said.append(reply)
        if self._index is None:
            self._topic = ACTS[int(action)].topic or self._topic
        if self.talk.partner.cue == "told":
            self._told[self._topic] += 1
        return self._observe(), reward, terminated, truncated, info | {"action_mask": self.action_mask(), "reply": reply}

    def reply(self, action: int) -> str:
        """What an action says now.

        Raises:
            gymnasium.error.ResetNeeded: before the first ``reset``.
        """
        if self.talk.get_state() is None:
            raise gym.error.ResetNeeded("DialogueActsEnv: call reset first")
        if self._index is not None:
            return self._offered[action][0] if action < len(self._offered) else ""
        rng = np.random.default_rng([self._wording, self.talk.turn, action])
        return acts.words(ACTS[action], self.talk.partner, self._topic, rng, "\n".join(self._said))

    def action_mask(self) -> npt.NDArray[np.int8]:
        """1 for each candidate that there is; as ``action_space.sample(mask)`` takes it."""
        if self._index is None:
            return np.ones(self._count, np.int8)
        there = np.arange(self._count) < len(self._offered)
        return (there if there.any() else ~there).astype(np.int8)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """The same as booleans, as sb3-contrib's MaskablePPO asks for it."""
        return self.action_mask().astype(np.bool_)

    def expert_action(self) -> int:
        """What the scripted expert chooses: it knows what was told, or looks a turn ahead where nobody knows."""
        partner = self.talk.partner
        if self._index is None and not isinstance(partner, HumanPartner):
            reaction = {tone: name for name, tone in acts.REACTIONS.items()}[partner.last.tone] if partner.last else ""
            kind, topic = expert.next_question(partner, np.random.default_rng([self._wording, self.talk.turn]))  # type: ignore[arg-type]
            return NUMBER[Act(reaction, partner.asked_back, "follow" if kind == "follow" else f"ask {topic}")]
        replies = [self.reply(int(action)) for action in np.flatnonzero(self.action_mask())]
        return replies.index(expert.ahead(partner, sorted(replies, key=len, reverse=self._index is None)))

    def render(self) -> str | None:  # type: ignore[override]
        """The transcript so far in ``"ansi"`` mode; ``None`` otherwise."""
        return self.talk.render()

    def _observe(self) -> Observation:
        partner = self.talk.partner
        numbers = acts.state(partner, self.talk.turn / self.talk.max_turns, self._topic, self._told)
        if self._index is not None:
            self._offered = self._offer(self._index)
            offered = [*self._offered, *[("", 0.0)] * (self._count - len(self._offered))]
            numbers += [number for text, likeness in offered for number in acts.described(text, likeness, partner, self._said)]
        observed = np.array(numbers, np.float32)
        if self.features == "minilm":
            observed = np.append(observed, np.clip(embeddings.embed([partner.spoken])[0], -1, 1))
        return observed

    def _offer(self, index: retrieval.Index) -> list[tuple[str, float]]:
        """What people answered to something like the partner's last turn, each once and none that was said, with the likeness."""
        found: dict[str, float] = {}
        for row, likeness in index.nearest(self.talk.partner.spoken, 4 * self._count):
            answer = index.corpus.exchanges[row].answer
            if answer not in self._said:
                found.setdefault(answer, likeness)
        return list(found.items())[: self._count]
