"""Say what sentiment a text carries.

system: Say whether the text sounds negative, neutral or positive. Answer with that one word.
user: It stopped charging after nine days.
> step("Negative.")                                                reward +1, success 1
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from lm_envs.core import Opening, Response, TextEnv, at_least, one_of
from lm_envs.envs.sentiment.prompts import of_domain
from lm_envs.envs.sentiment_classification import texts as sources
from lm_envs.envs.sentiment_classification.labels import LABELS, parse_label, wants_more
from lm_envs.types import Message

MORE = "more"

_RANDOM_MORE = 0.25  # how often the random player reads on where it can
_PIECE = re.compile(r"\S+\s*")


class SentimentClassificationEnv(TextEnv):
    """Say whether a text sounds negative, neutral or positive.

    ## Description
    The agent reads a text, a review of a film or a product, a piece of news or a tweet, and names its sentiment. With ``pieces``
    it reads the text piece by piece and says when it has seen enough; reading on costs a little.

    ## Observation
    A ``Conversation``: a system message that asks for a label, and a user message with the text, or with its first piece. After a
    reply that asks for more, the next piece; after one that names no label, a reminder.

    ## Action
    An ``Utterance`` that names one label: ``"positive"``, ``"Positive."``, ``"I'd say it's positive"``, ``'{"label": "positive"}'``;
    `labels.parse_label` says what counts. Naming several is naming none. Where there are turns left, ``"more"`` reads on.

    ## Reward
    ``reward="sentiment_classification"``: ``answer + reading``, where ``answer`` is 1 for the right label, ``-1 / (k - 1)`` for a wrong
    one of k labels, and 0 as long as there is none; ``reading`` is ``-more_cost`` for each reply that names no label and is answered.
    Labels are drawn evenly, so that guessing, and always giving the same answer, earn 0 in the mean. An episode's range is
    ``[-1 / (k - 1) - more_cost * (max_turns - 1), 1]``: [-0.5, 1] by default.

    ## Termination
    When a label is named; after ``max_turns`` replies, as a failure.

    ## Truncation
    When another reply might not fit into ``max_chars``; never by default.

    ## Info
    ``scenario``: the text's id. ``rewards``: the reward's components, after a reply. ``metrics``:

    - ``success``: 1 if the named label is the text's.
    - ``answered``: 1 if a label was named.
    - ``predicted``: the named label, 0 negative, 1 neutral, 2 positive; -1 as long as there is none.
    - ``label``: the text's own, numbered alike, when the episode has terminated; -1 before.
    - ``read``: share of the text's words that have been shown, in (0, 1].
    - ``turns``: replies given.

    `scores.from_metrics` makes accuracy, precision, recall and F1 of the last ``metrics`` of many episodes.

    ## Scores
    Mean reward, and success, in 1,000 episodes, seeds 0 to 999; the same on both splits, and with ``data="hutto"``, since a seed draws
    the label first:

    | player | by default | ``labels=2`` | ``pieces=3`` |
    |---|---|---|---|
    | expert | 1.00, 1.00 | 1.00, 1.00 | 1.00, 1.00 |
    | random | 0.04, 0.36 | 0.00, 0.50 | -0.03, 0.32 |
    | no-op | 0.00, 0.00 | 0.00, 0.00 | -0.10, 0.00 |

    The expert knows the label. Of 1,000 random guesses among three 333 are right in the mean, with a standard deviation of 15.
    `docs/sentiment.md` has classifiers' scores by domain, and how they transfer.

    ## Arguments
    - ``data``: ``"bundled"`` (default; 240 sentences written for this environment), ``"hutto"`` (23,700 texts in four domains that
      about 20 people rated each from -4 to 4, from ``lm_envs.assets``, fetched when first used; neutral where the mean is less than 0.5
      from 0; a review or an article is in one split; ``AssetError`` when they can't be had), or your own: a list of ``(text, label)``
      pairs or mappings, the path of a ``.csv`` or ``.jsonl`` file with columns ``text``, ``label`` and perhaps ``domain``, a data set
      of Hugging Face, or a mapping of two such, for ``"train"`` and ``"test"``. Without a mapping a fifth of the texts, by checksum, is
      for testing. Labels are ``negative``, ``neutral`` and ``positive``, or ``neg``, ``neu`` and ``pos``. ``DataError`` says which rows
      can't be used.
    - ``columns``: what your own data call these columns, where not so: ``{"text": "review"}``.
    - ``domain``: one or several; all by default. ``"film"``, ``"product"``, ``"news"`` and ``"tweets"``, or what the column says.
    - ``labels``: 3 (default), or 2: without the neutral texts.
    - ``pieces``: into how many pieces of about as many words a text is cut; 1 by default.
    - ``more_cost``: what a reply that names no label costs, 0.05 by default; in [0, 1].
    - ``max_turns``: by default as many as ``pieces``.
    - ``split``, ``reward``, ``max_reply_chars``, ``max_chars``, ``render_mode``: see ``TextEnv``.

    ``reset`` takes no options.

    ## Version history
    - v0: first version.
    """

    default_reward = "sentiment_classification"

    def __init__(
        self,
        *,
        data: Any = "bundled",
        columns: Mapping[str, str] | None = None,
        domain: str | Sequence[str] | None = None,
        labels: Literal[2, 3] = 3,
        pieces: int = 1,
        more_cost: float = 0.05,
        max_turns: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.pieces = at_least("pieces", pieces, 1)
        super().__init__(max_turns=self.pieces if max_turns is None else max_turns, **kwargs)
        if isinstance(more_cost, bool) or not isinstance(more_cost, (int, float)) or not 0 <= more_cost <= 1:
            raise ValueError(f"more_cost must be a number in [0, 1]; got {more_cost!r}")
        self.more_cost = float(more_cost)
        self.labels = LABELS if one_of("labels", labels, (2, 3)) == 3 else ("negative", "positive")
        self._texts = of_domain(sources.load(data, self.split, columns), domain)
        self._by_label = {label: [text for text in self._texts if text.label == label] for label in self.labels}
        if missing := [label for label, texts in self._by_label.items() if not texts]:
            hint = "; labels=2 leaves neutral ones out" if missing == ["neutral"] else ""
            raise ValueError(f"the data have no {' and no '.join(missing)} text in the {self.split} split{hint}")

    @property
    def shared(self) -> Mapping[str, Any]:
        """The reward model and the texts."""
        return {**super().shared, "data": self._texts, "columns": None}

    @property
    def shown(self) -> str:
        """What has been shown of the text."""
        return " ".join(self._pieces[: self._read])

    @property
    def can_read_on(self) -> bool:
        """Whether a reply may ask for more and get it."""
        return self._read < len(self._pieces) and self.turn + 1 < self.max_turns

    def open(self, options: Mapping[str, Any]) -> Opening:
        """Draw a label, and a text that has it."""
        if options:
            raise ValueError(f"SentimentClassificationEnv.reset takes no options; got {', '.join(map(repr, sorted(options)))}")
        label = self.labels[int(self.np_random.integers(len(self.labels)))]
        texts = self._by_label[label]
        self._text = texts[int(self.np_random.integers(len(texts)))]
        words = _PIECE.findall(self._text.text)
        chunks = np.array_split(np.arange(len(words)), min(self.pieces, len(words)))
        self._pieces = ["".join(words[at] for at in chunk).strip() for chunk in chunks]
        self._read = 1
        self._predicted = -1
        return Opening(
            messages=(Message(role="system", content=self._task()), Message(role="user", content=self._pieces[0])),
            scenario={"id": self._text.id, "label": label, "domain": self._text.domain},
            metrics=self._metrics_now(ended=False),
        )

    def respond(self, reply: str) -> Response:
        """Take a label, or show the next piece."""
        label = parse_label(reply)
        if label in self.labels:
            self._predicted = LABELS.index(label)
            answer = 1.0 if label == self._text.label else -1 / (len(self.labels) - 1)
            return Response(terminated=True, metrics=self._metrics_now(ended=True), signals={"answer": answer, "reading": 0.0})
        if self.is_last_turn:
            return Response(terminated=True, metrics=self._metrics_now(ended=True), signals={"answer": 0.0, "reading": 0.0})
        if self._read == len(self._pieces):
            answer_text = f"That is the whole text. Answer with {_listed(self.labels)}."
        elif wants_more(reply):
            answer_text = self._pieces[self._read]
            self._read += 1
        else:
            answer_text = f"Answer with {_listed((*self.labels, MORE))}."
        return Response(
            messages=(Message(role="user", content=answer_text),),
            metrics=self._metrics_now(ended=False),
            signals={"answer": 0.0, "reading": -self.more_cost},
        )

    def expert_reply(self) -> str:
        """The text's label."""
        return self._text.label

    def random_reply(self, rng: np.random.Generator) -> str:
        """Any label, or in a quarter of cases ``"more"`` where texts come in pieces."""
        if self.pieces > 1 and rng.random() < _RANDOM_MORE:
            return MORE
        return self.labels[int(rng.integers(len(self.labels)))]

    def _task(self) -> str:
        listed = _listed(self.labels)
        if self.pieces == 1:
            return f"Say whether the text sounds {listed}. Answer with that one word."
        return (
            f'You read a text in up to {self.pieces} pieces. Say whether it sounds {listed}. Answer with that one word, or with "{MORE}" '
            "to read on, which costs a little."
        )

    def _metrics_now(self, *, ended: bool) -> dict[str, float]:
        label = LABELS.index(self._text.label)
        shown = sum(len(piece.split()) for piece in self._pieces[: self._read])
        return {
            "success": float(self._predicted == label),
            "answered": float(self._predicted >= 0),
            "predicted": float(self._predicted),
            "label": float(label if ended else -1),
            "read": shown / sum(len(piece.split()) for piece in self._pieces),
        }


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
