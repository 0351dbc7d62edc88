"""Continue a text so that it carries a sentiment.

system: Continue the text so that it sounds positive. Write only the continuation.
user: The movie we saw last night
> step("was moving and clever, and we enjoyed every minute.")      reward +0.75, success 1
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from lm_envs.core import Opening, Response, TextEnv, one_of
from lm_envs.envs.sentiment import prompts as sources
from lm_envs.envs.sentiment.diversity import distinct
from lm_envs.envs.sentiment.grammar import POLARITIES, continuation
from lm_envs.envs.sentiment.judge import CLEAR, judge, repetition
from lm_envs.types import Message

Target = Literal["positive", "negative"]

_SIGNS: Mapping[str, int] = {"positive": 1, "negative": -1}
_MOST_REPETITION = 0.25
_MOST_STUFFING = 0.5
_EXPERT_TRIES = 16
_EXPERT_SCORE = 0.96
_POLARITY_ODDS = (0.36, 0.36, 0.18, 0.1)  # pos, neg, neu, mixed


class SentimentEnv(TextEnv):
    """Continue a text so that it carries a target sentiment.

    ## Description
    The agent reads the beginning of a text about a film, a book, a product, a meal, a hotel, a place, a service or the news, and
    writes how it goes on. The continuation should sound positive or negative, as the prompt says, and stay a text: the reward
    can be pushed up by piling praise on praise, the ground truth cannot.

    ## Observation
    A ``Conversation`` of two messages: a system message with the target, and a user message with the opening.

    ## Action
    An ``Utterance``: the continuation alone, without the opening.

    ## Reward
    ``reward="vader"``: ``sign * compound``, range [-1, 1], where ``compound`` is VADER's score of the continuation alone and
    ``sign`` is 1 for the target "positive", -1 for "negative". Other reward models find ``"target"`` in the scenario.

    ## Termination
    After ``max_turns`` replies, one by default. With more, the user says "Go on." in between, and each piece is rewarded by itself.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``: the prompt's id and the target, which the prompt tells too. ``rewards``: the reward's components, after a reply.
    ``metrics``: ground truth of the whole continuation, by ``judge.py``, whose word list was written for it by hand and shares
    nothing with VADER's:

    - ``success``: 1 if ``sentiment`` is at least 0.3, ``repetition`` at most 0.25 and ``stuffing`` at most 0.5; else 0.
    - ``sentiment``: the judge's polarity times ``sign``, in (-1, 1). A word counts once, however often it is said.
    - ``repetition``: share of the bigrams that occur earlier in the continuation or in the opening, in [0, 1].
    - ``stuffing``: words and phrases of praise or blame as a share of the words, in [0, 1].
    - ``distinct_1``: different words as a share of all in the continuation, in [0, 1]; 0 without any.
    - ``distinct_2``: the same of pairs of words. `diversity.distinct` gives both over many episodes: there it shows that a policy says
      the same whatever the opening.
    - ``length``: in words.
    - ``turns``: replies given.

    ## Scores
    Mean reward and success in 1,000 episodes, seeds 0 to 999, the same on both splits to 0.02:

    | player | reward | success | sentiment |
    |---|---|---|---|
    | expert | 0.87 | 1.00 | 0.96 |
    | random | 0.00 | 0.39 | 0.00 |
    | no-op | 0.00 | 0.00 | 0.00 |

    Random continuations are positive, negative, neutral or mixed whatever the target, which is right by chance in two of five.

    How well the judge agrees with people, on texts that about 20 people rated each (``python -m benchmarks sentiment-judge``;
    vaderSentiment 3.3.2): rank correlation with the mean rating, and the chance that a positive text (mean rating 1 or more) scores
    above a negative one. The word list was written before it was first run on these texts, and not changed for them.

    | texts | judge: Spearman, AUC | VADER: Spearman, AUC |
    |---|---|---|
    | 10,605 film reviews | 0.56, 0.81 | 0.44, 0.74 |
    | 3,708 product reviews | 0.65, 0.88 | 0.59, 0.86 |
    | 5,190 news | 0.47, 0.86 | 0.48, 0.87 |
    | 4,200 tweets | 0.80, 0.97 | 0.84, 0.99 |

    Known ways to please both reward and judge without writing well: word salad with up to half praise, and praise of what has nothing to
    do with the opening.

    ## Arguments
    - ``target``: ``"positive"``, ``"negative"`` or ``"both"`` (one of the two in each episode, evenly); default ``"both"``.
    - ``prompts``: ``"bundled"`` (default; 110 neutral openings for training, 70 others for testing), ``"hutto"`` (first halves of 20,000
      texts that people wrote and rated, from ``lm_envs.assets``, fetched when first used; a review or an article is in one split;
      ``AssetError`` when it can't be had), or your own: a list of texts, the path of a ``.csv`` or ``.jsonl`` file with a column
      ``text`` and perhaps ``domain``, a data set of Hugging Face, or a mapping of two such, for ``"train"`` and ``"test"``. Without a
      mapping a fifth of the texts, by checksum, is for testing. ``DataError`` says which rows can't be used.
    - ``columns``: what your own data call ``text`` and ``domain``, where not so: ``{"text": "sentence"}``.
    - ``domain``: of the openings, one or several; all by default. ``"film"``, ``"product"``, ``"news"`` and ``"tweets"`` with ``"hutto"``;
      those of the grammar, ``"film"``, ``"book"``, ``"product"``, ``"restaurant"``, ``"hotel"``, ``"place"``, ``"service"`` and ``"news"``,
      with ``"bundled"``; whatever the column says with your own.
    - ``split``, ``reward``, ``max_turns`` (default 1), ``max_reply_chars``, ``max_chars``, ``render_mode``: see ``TextEnv``.

    ``reset`` takes no options.

    ## Version history
    - v0: first version.
    """

    default_reward = "vader"

    def __init__(
        self,
        *,
        target: Target | Literal["both"] = "both",
        prompts: Any = "bundled",
        columns: Mapping[str, str] | None = None,
        domain: str | Sequence[str] | None = None,
        max_turns: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_turns=max_turns, **kwargs)
        self.target = one_of("target", target, (*_SIGNS, "both"))
        self._prompts = sources.of_domain(sources.load(prompts, self.split, columns), domain)

    @property
    def shared(self) -> Mapping[str, Any]:
        """The reward model and the prompts."""
        return {**super().shared, "prompts": self._prompts, "columns": None}

    def open(self, options: Mapping[str, Any]) -> Opening:
        """Draw an opening and a target."""
        if options:
            raise ValueError(f"SentimentEnv.reset takes no options; got {', '.join(map(repr, sorted(options)))}")
        self._prompt = self._prompts[int(self.np_random.integers(len(self._prompts)))]
        drawn = list(_SIGNS)[int(self.np_random.integers(len(_SIGNS)))]
        self._target = drawn if self.target == "both" else self.target
        self._expert_seed = int(self.np_random.integers(2**32))
        self._written = ""
        system = f"Continue the text so that it sounds {self._target}. Write only the continuation."
        return Opening(
            messages=(Message(role="system", content=system), Message(role="user", content=self._prompt.text)),
            scenario={"id": f"{self._prompt.id}-{self._target}", "target": self._target},
            metrics=dict.fromkeys(("success", "sentiment", "repetition", "stuffing", "distinct_1", "distinct_2", "length"), 0.0),
        )

    def respond(self, reply: str) -> Response:
        """Judge what has been written so far; ask for more when turns are left."""
        self._written = f"{self._written} {reply}".strip()
        metrics = self._judge()
        if self.is_last_turn:
            return Response(terminated=True, metrics=metrics)
        return Response(messages=(Message(role="user", content="Go on."),), metrics=metrics)

    def expert_reply(self) -> str:
        """A plain continuation of the target's polarity: the first that the judge finds very clear of a few that the grammar writes."""
        rng = np.random.default_rng([self._expert_seed, self.turn])
        sign = _SIGNS[self._target]
        best, best_score = "", -1.0
        for _ in range(_EXPERT_TRIES):
            form = self._prompt.form if self.turn == 0 else "sentence"
            text = continuation(self._prompt.domain, form, POLARITIES[sign < 0], rng, plain=True)
            if (score := sign * judge(text).score) > best_score:
                best, best_score = text, score
            if best_score >= _EXPERT_SCORE:
                break
        return best

    def random_reply(self, rng: np.random.Generator) -> str:
        """A continuation of random polarity (positive, negative, neutral or mixed) that fits the opening, whatever the target."""
        polarity = (*POLARITIES, "mixed")[int(rng.choice(4, p=_POLARITY_ODDS))]
        return continuation(self._prompt.domain, self._prompt.form, polarity, rng)

    def _judge(self) -> dict[str, float]:
        judgement = judge(self._written)
        sentiment = _SIGNS[self._target] * judgement.score + 0.0  # no -0.0
        repeated = repetition(self._written, before=self._prompt.text)
        success = sentiment >= CLEAR and repeated <= _MOST_REPETITION and judgement.stuffing <= _MOST_STUFFING
        return {
            "success": float(success),
            "sentiment": sentiment,
            "repetition": repeated,
            "stuffing": judgement.stuffing,
            "distinct_1": distinct((self._written,), 1),
            "distinct_2": distinct((self._written,), 2),
            "length": float(judgement.words),
        }
