"""Who is asked what: the order of the pairs, which reply stands on the left, what an annotator has done and what is left.

Order and sides follow from the seed, the annotator's name and the pair's texts alone, so that they are the same after a restart and don't
move when pairs are added. Each annotator has an order and sides of their own: what comes first, or stands on the left, favours no reply.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Literal

from agents.annotation.log import Choice, Judgement, Log, Retraction
from agents.annotation.pairs import Pair, Side

Answer = Literal["left", "right", "tie", "skip"]

HOLD = 600.0  # seconds that a pair is kept for the annotator who has it on the screen


class Conflict(Exception):
    """What an annotator asks for doesn't fit what was kept; the message says why."""


@dataclass(frozen=True)
class State:
    """What an annotator sees.

    Attributes:
        done: pairs they judged or skipped.
        left: pairs that they will still be asked about; others may take some of those that one annotator is enough for.
        pair: the one to judge now, ``None`` at the end.
        side: which reply of it stands on the left.
        can_undo: whether they have judged something.
    """

    done: int
    left: int
    pair: Pair | None
    side: Side
    can_undo: bool


class Study:
    """Pairs that annotators judge.

    Args:
        pairs: to judge.
        log: where judgements are kept.
        seed: of order and sides.
        overlap: share of the pairs that every annotator judges, 0 to 1, rounded up; each other pair goes to the first who gets to it.
        clock: seconds that pass, for holding a pair for the one who has it on the screen.

    Raises:
        ValueError: when there are no pairs or ``overlap`` is no share.
    """

    def __init__(
        self, pairs: Sequence[Pair], log: Log, *, seed: int = 0, overlap: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not pairs:
            raise ValueError("there are no pairs to judge")
        if not 0 <= overlap <= 1:
            raise ValueError(f"overlap must lie in [0, 1], got {overlap}")
        self.pairs = {pair.id: pair for pair in pairs}
        self.log = log
        self.seed = seed
        ranked = sorted(self.pairs, key=lambda pair: self._digest("overlap", pair))
        self.shared = frozenset(ranked[: math.ceil(overlap * len(ranked))])
        self._orders: dict[str, list[str]] = {}
        self._clock = clock
        self._shown: dict[str, tuple[str, float]] = {}  # the pair that each annotator has before them, since when
        self._lock = Lock()

    def side(self, annotator: str, pair: str) -> Side:
        """Which reply of a pair an annotator sees on the left."""
        return "a" if self._digest("side", annotator, pair)[0] % 2 else "b"

    def state(self, annotator: str) -> State:
        """What an annotator sees now."""
        with self._lock:
            return self._state(annotator)

    def judge(self, annotator: str, pair: str, answer: Answer, seconds: float) -> State:
        """Keep an answer; what the annotator sees next.

        Raises:
            KeyError: when there is no such pair.
            Conflict: when they judged it already.
            OSError: when it can't be kept.
        """
        if pair not in self.pairs:
            raise KeyError(pair)
        with self._lock:
            if pair in self.log.judgements.of(annotator):
                raise Conflict("This pair was judged already, perhaps in another window.")
            left = self.side(annotator, pair)
            right: Side = "b" if left == "a" else "a"
            choices: dict[Answer, Choice] = {"left": left, "right": right, "tie": "tie", "skip": "skip"}
            self.log.append(Judgement.now(pair, annotator, choices[answer], left, round(seconds, 3)))
            return self._state(annotator)

    def undo(self, annotator: str) -> tuple[State, Answer]:
        """Take an annotator's last judgement back; what they see next, which is its pair, and what they had answered.

        Raises:
            Conflict: when there is none.
            OSError: when it can't be kept.
        """
        with self._lock:
            made = [judgement for judgement in self.log.judgements.of(annotator).values() if judgement.pair in self.pairs]
            if not made:
                raise Conflict("There is nothing to undo.")
            last = made[-1]
            self.log.append(Retraction.now(last))
            answers: dict[Choice, Answer] = {"tie": "tie", "skip": "skip", last.left: "left"}
            self._shown[annotator] = (last.pair, self._clock())
            return self._state(annotator), answers.get(last.choice, "right")

    def judgements(self) -> list[Judgement]:
        """All that count."""
        with self._lock:
            return self.log.judgements.all()

    def _state(self, annotator: str) -> State:
        mine = self.log.judgements.of(annotator)
        taken = {judgement.pair for judgement in self.log.judgements.all() if judgement.choice != "skip"}  # by anybody
        now = self._clock()
        taken |= {pair for name, (pair, since) in self._shown.items() if name != annotator and now - since < HOLD}
        shown = self._shown.pop(annotator, ("", 0.0))[0]
        order = self._order(annotator)
        left = [pair for pair in order if pair not in mine and (pair in self.shared or pair not in taken or pair == shown)]
        done = sum(pair in mine for pair in order)
        if not left:
            return State(done, 0, None, "a", done > 0)
        chosen = shown if shown in left else left[0]
        self._shown[annotator] = (chosen, now)
        return State(done, len(left), self.pairs[chosen], self.side(annotator, chosen), done > 0)

    def _order(self, annotator: str) -> list[str]:
        if annotator not in self._orders:
            self._orders[annotator] = sorted(self.pairs, key=lambda pair: self._digest("order", annotator, pair))
        return self._orders[annotator]

    def _digest(self, *what: str) -> bytes:
        return hashlib.sha256("\0".join([str(self.seed), *what]).encode()).digest()
