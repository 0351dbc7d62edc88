"""Arguments of ``python -m agents reward-model``."""

from __future__ import annotations

from dataclasses import dataclass

from agents.arguments import arg

KINDS = ("preferences", "ratings", "labels")


@dataclass(frozen=True)
class RewardModelArgs:
    """Train a reward model on ratings or preferences of people, calibrate it, and report its accuracy on held-out data."""

    data: str = arg("hutto", "hutto, chitchat, or a .csv or .jsonl file: reply and rating, or chosen and rejected, perhaps prompt")
    kind: str = arg("preferences", "what is learnt: which of two is preferred, ratings, or labels that ratings fall into", choices=KINDS)
    attribute: str = arg("interesting", "rating of chitchat", choices=["witty", "interesting", "upbeat", "mean"])
    model: str = arg("minilm", "to start from: minilm, tiny, smollm2-135m, a folder, or a hub's name")
    frozen_layers: int = arg(0, "lowest layers that are left as they are, with the embeddings: faster")
    epochs: int = arg(1, "passes over the data; of pairs made of ratings, each has new pairs")
    lr: float = arg(1e-4, "learning rate")
    batch_size: int = arg(32, "texts in a step")
    max_length: int = arg(128, "tokens that are read of a text")
    margin: float = arg(0.5, "by which two ratings must differ to make a pair, in training and in the held-out accuracy")
    seed: int = arg(0, "of everything that is drawn")
    device: str = arg("auto", "cpu, cuda, or auto")
    name: str | None = arg(None, "under which it is reported (default: that of the data)", type=str)
    out: str = arg("runs/reward-model", "folder; what a killed run left there is gone on with")
