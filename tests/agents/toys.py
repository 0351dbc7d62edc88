"""A toy token environment, tiny models' configurations and a reference computation: plumbing is tested without files or network."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor
from transformers import GPT2Config, LlamaConfig

from lm_envs.spaces import TokenSpace

VOCAB = 40  # tokens of the toy environment
LOGITS = 48  # the models have some more
LENGTH = 32
FORBIDDEN = (0, 5)
STOP = 1


def config_of(kind: str):
    if kind == "gpt2":
        return GPT2Config(
            vocab_size=LOGITS, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3, bos_token_id=2, eos_token_id=1
        )
    return LlamaConfig(
        vocab_size=LOGITS,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )


def toy_observation_space() -> spaces.Dict:
    return spaces.Dict(
        {
            "input_ids": spaces.Box(0, VOCAB - 1, (LENGTH,), np.int64),
            "attention_mask": spaces.Box(0, 1, (LENGTH,), np.int8),
        }
    )


class Toy(gym.Env):
    """Two replies of up to four tokens; between them the world says something of its own length. Even tokens are worth 1."""

    def __init__(self, seed: int = 0) -> None:
        self.observation_space = toy_observation_space()
        self.action_space = TokenSpace(VOCAB, FORBIDDEN)
        self._rng = np.random.default_rng(seed)

    def _words(self, low: int, high: int) -> list[int]:
        return self._rng.integers(6, VOCAB, self._rng.integers(low, high)).tolist()

    def _observe(self) -> dict[str, np.ndarray]:
        ids = np.full(LENGTH, 3, dtype=np.int64)  # a padding id that is also a word
        ids[: len(self.ids)] = self.ids
        return {"input_ids": ids, "attention_mask": (np.arange(LENGTH) < len(self.ids)).astype(np.int8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self.ids = [2, 9, *self._words(1, 9)]
        self.turn, self.reply = 0, 0
        return self._observe(), {}

    def step(self, action):
        self.ids.append(int(action))
        self.reply += 1
        over = False
        if action == STOP or self.reply == 4:
            self.turn += 1
            over = self.turn == 2
            if not over:
                self.ids += self._words(1, 6)
                self.reply = 0
        return self._observe(), float(action % 2 == 0), over, False, {}


def toy_vec_env(n: int = 4):
    return VecMonitor(DummyVecEnv([lambda i=i: Toy(i) for i in range(n)]))


def random_observations(n: int, seed: int = 0, prefixes: bool = True) -> dict[str, torch.Tensor]:
    """Ragged rows; with ``prefixes`` most of them are prefixes of others, and some are equal."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(0, VOCAB, rng.integers(2, LENGTH + 1)) for _ in range(max(2, n // 4) if prefixes else n)]
    ids = np.full((n, LENGTH), 3, dtype=np.int64)
    mask = np.zeros((n, LENGTH), dtype=np.int8)
    for i in range(n):
        text = texts[rng.integers(len(texts))] if prefixes else texts[i]
        length = int(rng.integers(1, len(text) + 1))
        ids[i, :length], mask[i, :length] = text[:length], 1
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}


def by_hand(policy, obs, actions):
    """Log-probabilities, entropies and values, one row at a time from the model's own logits."""
    lm = policy.model.get_base_model() if hasattr(policy.model, "get_base_model") else policy.model
    results = []
    for ids, mask, action in zip(obs["input_ids"], obs["attention_mask"], actions, strict=True):
        row = ids[: int(mask.sum())][None]
        lm(input_ids=row[:, :1])  # dynamic rotary embeddings remember the longest text until they see a short one
        out = lm(input_ids=row, output_hidden_states=True)
        z = out.logits[0, -1, :VOCAB].double() / policy.temperature
        allowed = torch.ones(VOCAB, dtype=torch.bool, device=z.device)
        allowed[list(FORBIDDEN)] = False
        p = torch.where(allowed, z.exp(), 0.0)
        p = p / p.sum()
        entropy = -(p[allowed] * p[allowed].log()).sum()
        value = out.hidden_states[-1][0, -1] @ policy.value_head.weight[0] + policy.value_head.bias[0]
        results.append(torch.stack([p[action].log().float(), entropy.float(), value]))
    return torch.stack(results).T
