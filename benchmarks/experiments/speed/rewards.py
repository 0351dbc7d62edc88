"""A neural reward model: all replies of a step in one call beside one call a reply."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass

import numpy as np
import torch
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from benchmarks.experiments.speed.figures import Figure, figure, interleaved, ratios
from lm_envs import assets
from lm_envs.rewards import HFClassifier
from lm_envs.types import Exchange


@dataclass(frozen=True)
class Setting:
    """How replies are scored.

    Attributes:
        replies: that end in one step.
        tokens: of a reply, about; they differ by up to a quarter.
        layers: of the classifier, a BERT of MiniLM's size with random weights.
        rounds: how often each side is measured.
    """

    replies: int = 32
    tokens: int = 32
    layers: int = 6
    rounds: int = 9


def classifier(folder: str, setting: Setting) -> HFClassifier:
    """A classifier as its users load it."""
    tokenizer = AutoTokenizer.from_pretrained(assets.path("tiny"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=384,
        num_hidden_layers=setting.layers,
        num_attention_heads=12,
        intermediate_size=1536,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
        pad_token_id=tokenizer.pad_token_id or 0,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return HFClassifier(folder, label="positive")


def measure(quick: bool = False) -> list[Figure]:
    """Scores a second, batched and one by one."""
    setting = Setting(replies=4, layers=1, rounds=1) if quick else Setting()
    tokenizer = AutoTokenizer.from_pretrained(assets.path("tiny"))
    rng = np.random.default_rng(0)
    lengths = rng.integers(3 * setting.tokens // 4, 5 * setting.tokens // 4 + 1, setting.replies)
    texts = [str(tokenizer.decode(rng.integers(300, len(tokenizer), length))) for length in lengths]
    exchanges = [Exchange(({"role": "assistant", "content": text},)) for text in texts]
    with tempfile.TemporaryDirectory() as folder:
        model = classifier(folder, setting)
        apart, together = [model([one])[0] for one in exchanges], model(exchanges)
        seconds = interleaved(
            {"batched": lambda: model(exchanges), "one by one": lambda: [model([one]) for one in exchanges]}, setting.rounds
        )
    return [
        figure(
            "reward model, scores/s batched / one by one",
            ratios(seconds["one by one"], seconds["batched"]),
            at_least=1.2,
            setting=asdict(setting),
            seconds=seconds,
            threads=torch.get_num_threads(),
            largest_difference=float(np.abs(np.array(apart) - np.array(together)).max()),
        )
    ]
