"""Reward hacking made visible in training: a warning when the reward goes on rising while the ground truth falls."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.callbacks import BaseCallback

ERRORS = 3.0  # standard errors by which both must have moved: the best of many windows is too good by chance alone
WINDOW = 64  # episodes that are compared at least


class PartingWarning(UserWarning):
    """The reward and the ground truth have parted."""


class UnknownMetric(ValueError):
    """The environment doesn't have the metric that is to be watched."""


@dataclass(frozen=True)
class Parting:
    """Where they parted.

    Attributes:
        token: of training, at the best window of the ground truth.
        reward: mean then and now.
        gold: mean of the ground truth then and now.
    """

    token: int
    reward: tuple[float, float]
    gold: tuple[float, float]


def parting(
    reward: npt.NDArray[np.float64], gold: npt.NDArray[np.float64], tokens: Sequence[int], *, window: int = WINDOW
) -> Parting | None:
    """Whether the last episodes have more reward and less of the ground truth than those with the best ground truth before them.

    Windows of as many episodes, one after the other, are compared; both differences of their means must be beyond three standard errors.

    Args:
        reward: of episodes in the order of training, ``(n,)``.
        gold: ground truth of each, ``(n,)``.
        tokens: of training, when each ended, ``(n,)``.
        window: episodes in a window.
    """
    count = len(reward) // window
    if count < 2:
        return None
    first = len(reward) - count * window  # the last window ends now
    rows = [np.arange(first + number * window, first + (number + 1) * window) for number in range(count)]
    best = max(range(count - 1), key=lambda number: gold[rows[number]].mean())
    then, now = rows[best], rows[-1]
    if _apart(reward[now], reward[then]) and _apart(gold[then], gold[now]):
        means = [(float(values[then].mean()), float(values[now].mean())) for values in (reward, gold)]
        return Parting(int(tokens[then[-1]]), means[0], means[1])
    return None


def _apart(higher: npt.NDArray[np.float64], lower: npt.NDArray[np.float64]) -> bool:
    error = np.sqrt(higher.var() / len(higher) + lower.var() / len(lower))
    return bool(higher.mean() - lower.mean() > ERRORS * error)


class Watch(BaseCallback):
    """Warns, once, when the reward and a ground-truth metric have parted (:func:`parting`), and logs both means of the last episodes.

    A resumed run watches from there on.

    Args:
        metric: in ``info["metrics"]`` of the environment.
        window: episodes in a window.

    Raises:
        UnknownMetric: in training, when the first episode ends without it.
    """

    def __init__(self, metric: str, *, window: int = WINDOW) -> None:
        super().__init__()
        self.metric, self.window = metric, window
        self.found: Parting | None = None
        self._reward: list[float] = []
        self._gold: list[float] = []
        self._tokens: list[int] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" not in info:
                continue
            if self.metric not in info.get("metrics", {}):
                known = ", ".join(sorted(info.get("metrics", {})))
                raise UnknownMetric(f"the environment has no metric {self.metric!r}; it has {known}")
            self._reward.append(float(info["episode"]["r"]))
            self._gold.append(float(info["metrics"][self.metric]))
            self._tokens.append(self.num_timesteps)
        return True

    def _on_rollout_end(self) -> None:
        if self.found is None:
            self.found = parting(np.array(self._reward), np.array(self._gold), self._tokens, window=self.window)
            if self.found is not None:
                warnings.warn(told(self.found, self.metric), PartingWarning, stacklevel=2)
        self.logger.record("watch/parted", float(self.found is not None))


def told(found: Parting, metric: str) -> str:
    """One line that says what has parted."""
    return (
        f"reward and ground truth have parted: since token {found.token:,} the reward rose from {found.reward[0]:.3f} to "
        f"{found.reward[1]:.3f} while {metric} fell from {found.gold[0]:.3f} to {found.gold[1]:.3f}; a larger --kl-beta or an "
        f"earlier end would keep them together"
    )
