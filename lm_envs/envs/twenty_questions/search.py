"""Which question to ask: that of the greatest expected information over the things left."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lm_envs.envs.twenty_questions.table import ANSWERS, table

_GUESS_AT = 2  # things left: a guess then tells as much as a question, and may end the game


def everything() -> np.ndarray:
    """The things of the whole table as possible ones; shape (num_things,), bool."""
    return np.ones(len(table().things), dtype=bool)


def after_answer(left: np.ndarray, attribute: str, answer: str) -> np.ndarray:
    """Those of the things left, shape (num_things,), of which the question has that answer."""
    column = list(table().attributes).index(attribute)
    return left & (table().answers[:, column] == ANSWERS.index(answer))  # type: ignore[arg-type]


def best_question(left: np.ndarray) -> str:
    """The attribute whose answer has the greatest entropy over the things left, each as probable; "" where none tells anything.

    Args:
        left: which things are possible, shape (num_things,), bool.
    """
    return _best_question(left.tobytes())


@lru_cache(maxsize=20_000)
def _best_question(left: bytes) -> str:
    rows = table().answers[np.frombuffer(left, dtype=bool)]  # (left, num_attributes)
    share = np.stack([(rows == code).mean(axis=0) for code in range(len(ANSWERS))])  # (answers, num_attributes)
    entropy = -(share * np.log2(share, out=np.zeros_like(share), where=share > 0)).sum(axis=0)  # (num_attributes,)
    best = int(entropy.argmax())
    return list(table().attributes)[best] if entropy[best] > 0 else ""


def next_move(left: np.ndarray) -> tuple[str, str]:
    """``("guess", thing)`` when two things or one are left, else ``("question", attribute)``."""
    if np.count_nonzero(left) <= _GUESS_AT:
        return "guess", table().things[int(left.argmax())]
    return "question", best_question(left)
