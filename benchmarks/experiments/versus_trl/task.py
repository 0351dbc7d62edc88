"""What all sides do: the prompts, the reward, the batch, and when a run has done it."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from lm_envs.chat import ChatFormat
from lm_envs.envs.sentiment import SentimentEnv
from lm_envs.envs.sentiment.prompts import bundled
from lm_envs.rewards import VaderSentiment
from lm_envs.types import Exchange

_VADER = VaderSentiment("positive")


@dataclass(frozen=True)
class Task:
    """The settings that the sides share."""

    model: str = "smollm2-135m"
    replies: int = 16
    """sampled for an update"""
    reply_tokens: int = 24
    """the most a reply has"""
    goal: float = 0.9
    """mean VADER compound that ends a run"""
    window: int = 32
    """replies that the mean is taken of: two iterations"""
    bf16: bool = True
    """bfloat16 autocast around float32 weights, on all sides"""
    threads: int = 2
    """of torch"""
    cap_seconds: float = 600.0
    """a run that takes longer has failed"""


def compound(texts: list[str]) -> list[float]:
    """VADER's compound score of each text, in [-1, 1]: the one reward function of all sides."""
    return _VADER([Exchange(messages=({"role": "assistant", "content": text},)) for text in texts])


def prompts(chat: ChatFormat) -> list[list[int]]:
    """The openings of the train split with the target "positive" as token ids."""
    env = SentimentEnv(target="positive")
    system = env.reset(seed=0)[0][0]
    return [chat.open((system, {"role": "user", "content": prompt.text})) for prompt in bundled("train")]


@dataclass
class Curve:
    """What a run records: a point whenever the replies of an iteration have been scored.

    The clock starts when the curve is made. Time that :meth:`point` itself takes is not taken off; it is microseconds.
    """

    task: Task
    points: list[dict[str, float]] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)
    """one reply an iteration, to see what is being written"""

    def __post_init__(self) -> None:
        self._last: deque[float] = deque(maxlen=self.task.window)
        self._began = time.perf_counter()

    def point(self, scores: list[float], texts: list[str], tokens: int) -> bool:
        """Record an iteration; returns whether the run is over.

        Args:
            scores: of the replies that were finished since the last point.
            texts: these replies.
            tokens: written since the last point.
        """
        seconds = time.perf_counter() - self._began
        self._last.extend(scores)
        self.points.append(
            {
                "seconds": seconds,
                "tokens": tokens + (self.points[-1]["tokens"] if self.points else 0),
                "replies": len(scores),
                "mean": sum(scores) / len(scores) if scores else float("nan"),
                "running": sum(self._last) / len(self._last) if self._last else float("nan"),
            }
        )
        self.samples += texts[:1]
        return self.reached or seconds >= self.task.cap_seconds

    @property
    def reached(self) -> bool:
        """Whether the last ``window`` replies have a mean of ``goal``."""
        return len(self._last) == self.task.window and self.points[-1]["running"] >= self.task.goal
