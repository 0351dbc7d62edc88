"""`EpisodeRolloutBuffer`: a rollout that keeps each token once and deals minibatches of whole episodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.type_aliases import DictRolloutBufferSamples

from agents.packing import Ids, Packed, pack


class Stretch(NamedTuple):
    """Steps ``start`` to ``stop`` (excluded) of one environment in which each observation is a prefix of the next."""

    env: int
    start: int
    stop: int
    ids: Ids  # the last observation, (length,)


class Batch(NamedTuple):
    """Transitions with their places in the rollout.

    Attributes:
        steps: positions in time, ``(n,)``.
        envs: environments, ``(n,)``; ``buffer.rewards[steps, envs]`` are the transitions' rewards.
        observations: packed.
        actions: ids, ``(n,)``.
    """

    steps: Ids
    envs: Ids
    observations: Packed
    actions: torch.Tensor


class EpisodeRolloutBuffer(RolloutBuffer):
    """SB3's rollout buffer for token environments; pass it as ``rollout_buffer_class``.

    Returns and advantages are SB3's. Two things differ. Advantages are normalised over the whole rollout when they are dealt, so pass
    ``normalize_advantage=False`` to the algorithm: within a minibatch of whole episodes, normalising takes away what tells the episodes
    apart. And minibatches consist of whole stretches of episodes, so their sizes are near ``batch_size``, not equal to it.

    Args:
        buffer_size: steps.
        observation_space: ``Dict(input_ids, attention_mask)``.
        action_space: ``Discrete``.
        device: where tensors are dealt.
        gae_lambda: of generalised advantage estimation.
        gamma: discount.
        n_envs: environments.
        normalize_advantage: to mean 0 and standard deviation 1 over the rollout.
    """

    observation_space: spaces.Dict

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Dict,
        action_space: spaces.Discrete,
        device: torch.device | str = "auto",
        gae_lambda: float = 1.0,
        gamma: float = 1.0,
        n_envs: int = 1,
        normalize_advantage: bool = True,
    ) -> None:
        self.normalize_advantage = normalize_advantage
        super().__init__(buffer_size, observation_space, action_space, device, gae_lambda, gamma, n_envs)

    def reset(self) -> None:
        """Empty the buffer."""
        shape = (self.buffer_size, self.n_envs)
        self.actions = np.zeros(shape, dtype=np.int64)
        self.rewards, self.returns, self.episode_starts = (np.zeros(shape, dtype=np.float32) for _ in range(3))
        self.values, self.log_probs, self.advantages = (np.zeros(shape, dtype=np.float32) for _ in range(3))
        self.lengths = np.zeros(shape, dtype=np.int64)  # of each observation
        self.last_values: torch.Tensor | None = None
        self.dones: npt.NDArray[np.bool_] | None = None
        self._closed: list[Stretch] = []
        self._opened = np.zeros(self.n_envs, dtype=np.int64)  # the step at which each environment's stretch began
        self._ids: Ids | None = None  # the latest observations, (n_envs, longest of them)
        self.pos, self.full = 0, False

    def add(
        self,
        obs: Mapping[str, npt.NDArray[Any]],  # type: ignore[override]
        action: npt.NDArray[Any],
        reward: npt.NDArray[Any],
        episode_start: npt.NDArray[Any],
        value: torch.Tensor,
        log_prob: torch.Tensor,
    ) -> None:
        """Add one step of all environments."""
        step, ids = self.pos, np.asarray(obs["input_ids"], dtype=np.int64)
        self.lengths[step] = np.maximum(np.asarray(obs["attention_mask"]).sum(axis=1), 1)
        if self._ids is not None:
            before = self.lengths[step - 1]
            width = int(before.max())
            grown = ((ids[:, :width] == self._ids) | (np.arange(width) >= before[:, None])).all(axis=1)
            begins = ~grown | (self.lengths[step] < before) | np.asarray(episode_start, dtype=np.bool_)
            for row in np.flatnonzero(begins).tolist():
                self._close(row, step)
        self._ids = ids[:, : self.lengths[step].max()].copy()
        self.actions[step] = np.asarray(action).reshape(self.n_envs)
        self.rewards[step] = reward
        self.episode_starts[step] = episode_start
        self.values[step] = value.detach().cpu().numpy().reshape(self.n_envs)
        self.log_probs[step] = log_prob.detach().cpu().numpy().reshape(self.n_envs)
        self.pos += 1
        if self.pos == self.buffer_size:
            self.full = True
            for env in range(self.n_envs):
                self._close(env, self.pos)

    def compute_returns_and_advantage(self, last_values: torch.Tensor, dones: npt.NDArray[Any]) -> None:
        """SB3's, with the arguments kept for :meth:`recompute`."""
        self.last_values, self.dones = last_values.detach().clone(), np.array(dones)
        super().compute_returns_and_advantage(self.last_values, self.dones)

    def recompute(self) -> None:
        """Compute returns and advantages again, after a change of :attr:`rewards`."""
        if self.last_values is None or self.dones is None:
            raise RuntimeError("recompute needs the end of a rollout: call it from on_rollout_end or later")
        self.compute_returns_and_advantage(self.last_values, self.dones)

    def get(self, batch_size: int | None = None) -> Iterator[DictRolloutBufferSamples]:  # type: ignore[override]
        """Deal all transitions in a random order of stretches, in batches of about ``batch_size``; ``None`` gives one batch."""
        advantages = self.advantages
        if self.normalize_advantage and advantages.size > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
        for stretches in self._deal(batch_size, np.random):
            batch = self._batch(stretches)
            at = batch.steps, batch.envs
            yield DictRolloutBufferSamples(
                observations=batch.observations,  # type: ignore[arg-type]
                actions=batch.actions[:, None],
                **{
                    name: torch.from_numpy(array[at]).to(self.device)
                    for name, array in (
                        ("old_values", self.values),
                        ("old_log_prob", self.log_probs),
                        ("advantages", advantages),
                        ("returns", self.returns),
                    )
                },
            )

    def batches(self, batch_size: int | None = None) -> Iterator[Batch]:
        """All transitions in a fixed order with their places, to score them under another model."""
        for stretches in self._deal(batch_size, None):
            yield self._batch(stretches)

    def _close(self, env: int, step: int) -> None:
        assert self._ids is not None
        self._closed.append(Stretch(env, int(self._opened[env]), step, self._ids[env, : self.lengths[step - 1, env]].copy()))
        self._opened[env] = step

    def _deal(self, batch_size: int | None, rng: Any) -> list[list[Stretch]]:
        """Near-equal hands of stretches: the longest first, each to the smallest hand."""
        assert self.full, "the rollout is not complete"
        total = self.buffer_size * self.n_envs
        hands = max(1, round(total / batch_size)) if batch_size else 1
        if hands == 1:
            return [self._closed]
        share = -(-total // hands)
        pieces = [piece for stretch in self._closed for piece in _cut(stretch, share)]
        if rng is not None:
            pieces = [pieces[i] for i in rng.permutation(len(pieces))]
        pieces.sort(key=lambda piece: piece.start - piece.stop)
        dealt: list[list[Stretch]] = [[] for _ in range(hands)]
        sizes = [0] * hands
        for piece in pieces:
            smallest = sizes.index(min(sizes))
            dealt[smallest].append(piece)
            sizes[smallest] += piece.stop - piece.start
        if rng is not None:
            dealt = [dealt[i] for i in rng.permutation(hands)]
        return [hand for hand in dealt if hand]

    def _batch(self, stretches: list[Stretch]) -> Batch:
        steps = np.concatenate([np.arange(s.start, s.stop) for s in stretches])
        counts = [s.stop - s.start for s in stretches]
        envs = np.repeat([s.env for s in stretches], counts)
        row = np.repeat(np.arange(len(stretches)), counts)
        ids = [s.ids[: self.lengths[s.stop - 1, s.env]] for s in stretches]
        observations = pack(ids, row, self.lengths[steps, envs] - 1, torch.device(self.device))
        return Batch(steps, envs, observations, torch.from_numpy(self.actions[steps, envs]).to(self.device))


def _cut(stretch: Stretch, share: int) -> list[Stretch]:
    """A stretch longer than a batch in equal pieces that are not."""
    size = stretch.stop - stretch.start
    bounds = np.linspace(stretch.start, stretch.stop, -(-size // share) + 1).astype(int).tolist()
    return [stretch._replace(start=a, stop=b) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
