"""Training: preferences with TRL's ``RewardTrainer``, ratings and labels with the ``Trainer`` of transformers that it builds on."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from agents import trainers
from agents.reward_model.data import Preference, Rated
from lm_envs import assets
from lm_envs.rewards.trained import READS

BASES = ("minilm", *assets.MODELS)

_LAYER = re.compile(r"\.(?:layers?|h|blocks?)\.(\d+)\.")
_SAVE_STEPS = 50
_WINDOW = 50  # batches within which texts of like lengths are gathered


@dataclass(frozen=True)
class Settings:
    """How a model is trained.

    Attributes:
        base: an asset's name, a folder, or a hub's name.
        epochs: passes over the data.
        learning_rate: peak of a linear schedule with warm-up.
        batch_size: texts in a step; half as many pairs.
        max_length: tokens that are read of a text.
        seed: of everything that is drawn.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        frozen_layers: of the base, from the lowest, that aren't trained, the embeddings with them; 0 trains all. Half the layers cost
            half the time.
    """

    base: str = "minilm"
    epochs: int = 1
    learning_rate: float = 1e-4
    batch_size: int = 32
    max_length: int = 128
    seed: int = 0
    device: str = "auto"
    frozen_layers: int = 0


def preference_model(pairs: Sequence[Preference], reads: str, settings: Settings, folder: Path) -> float:
    """Train a Bradley-Terry model with TRL's ``RewardTrainer``: −log σ(r(chosen) − r(rejected)).

    Args:
        pairs: one pass.
        reads: what of an exchange is read.
        settings: how.
        folder: of the model; what a killed training left there is gone on with.

    Returns:
        The mean loss.
    """
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    model, tokenizer = load(settings, 1)
    read = READS[reads]
    ids = [_encode(tokenizer, [read(getattr(one, side)) for one in pairs], settings.max_length) for side in ("chosen", "rejected")]
    lengths = np.array([max(map(len, both)) for both in zip(*ids, strict=True)])
    order = _order(lengths, settings, max(1, settings.batch_size // 2))
    data = Dataset.from_dict({"chosen_ids": [ids[0][row] for row in order], "rejected_ids": [ids[1][row] for row in order]})
    given = _arguments(settings, folder, max(1, settings.batch_size // 2))
    arguments = trainers.configuration(RewardConfig, **given, max_length=None, disable_dropout=True)
    return _train(RewardTrainer, model, arguments, data, tokenizer, None, folder)


def rating_model(rated: Sequence[Rated], targets: npt.NDArray[Any], labels: int, reads: str, settings: Settings, folder: Path) -> float:
    """Train a model of ratings (one output, squared error) or of labels (cross-entropy).

    Args:
        rated: what is read.
        targets: ratings as floats, or labels' positions as integers, ``(len(rated),)``.
        labels: how many labels; 1 for ratings.
        reads: what of an exchange is read.
        settings: how.
        folder: of the model; what a killed training left there is gone on with.

    Returns:
        The mean loss.
    """
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    model, tokenizer = load(settings, labels)
    ids = _encode(tokenizer, [READS[reads](one.exchange) for one in rated], settings.max_length)
    order = _order(np.array([len(row) for row in ids]), settings, settings.batch_size)
    data = Dataset.from_dict({"input_ids": [ids[row] for row in order], "labels": [targets[row].item() for row in order]})
    arguments = trainers.configuration(TrainingArguments, **_arguments(settings, folder, settings.batch_size))
    return _train(Trainer, model, arguments, data, tokenizer, DataCollatorWithPadding(tokenizer), folder)


def load(settings: Settings, outputs: int) -> tuple[Any, Any]:
    """The base as a classifier with so many outputs, with a new last layer, and its tokenizer.

    Raises:
        AssetError: when an asset can't be had.
        OSError: when there is no such model.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from transformers.utils import logging

    source = assets.path(settings.base) if settings.base in BASES else settings.base
    torch.manual_seed(settings.seed)
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # that the last layer is new needs no warning
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        kind = {"problem_type": "regression" if outputs == 1 else "single_label_classification", "num_labels": outputs}
        model = AutoModelForSequenceClassification.from_pretrained(
            source,
            dtype=torch.float32,
            ignore_mismatched_sizes=True,  # a base that has another last layer gets a new one
            **kind,
        )
    finally:
        logging.set_verbosity(before)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # as TRL has it for reward models
    freeze(model, settings.frozen_layers)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    tokenizer.truncation_side = "left"  # of a conversation, its end
    tokenizer.model_max_length = min(tokenizer.model_max_length, 10**6)
    return model, tokenizer


def freeze(model: Any, layers: int) -> None:
    """Leave the lowest layers of a classifier as they are, and all that comes before them.

    Raises:
        ValueError: when the model has fewer layers or doesn't number them.
    """
    if not layers:
        return
    numbers = {name: int(found[1]) for name, _ in model.named_parameters() if (found := _LAYER.search(name))}
    if layers > max(numbers.values(), default=-1) + 1:
        raise ValueError(f"{type(model).__name__} has {max(numbers.values(), default=-1) + 1} layers that could be frozen, not {layers}")
    for name, parameter in model.named_parameters():
        before = name not in numbers and any(part in name for part in ("embed", ".wte.", ".wpe."))
        if before or numbers.get(name, layers) < layers:
            parameter.requires_grad_(False)


def _encode(tokenizer: Any, texts: Sequence[str], max_length: int) -> list[list[int]]:
    """Ids as `HFClassifier` reads them: text that spells a control token is ordinary text."""
    rows: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=max_length, split_special_tokens=True)["input_ids"]
    return rows


def _order(lengths: npt.NDArray[np.int64], settings: Settings, size: int) -> list[int]:
    """Rows in the order of training, over all epochs: batches of like lengths, in random order."""
    rng = np.random.default_rng(settings.seed)
    order: list[int] = []
    for _ in range(settings.epochs):
        drawn = rng.permutation(len(lengths))
        batches = []
        for start in range(0, len(drawn), _WINDOW * size):
            window = drawn[start : start + _WINDOW * size]
            window = window[np.argsort(lengths[window], kind="stable")]
            batches += [window[at : at + size] for at in range(0, len(window), size)]
        short = [batch for batch in batches if len(batch) < size]
        full = [batch for batch in batches if len(batch) == size]
        order += [int(row) for batch in [*(full[i] for i in rng.permutation(len(full))), *short] for row in batch]
    return order


def _arguments(settings: Settings, folder: Path, batch: int) -> dict[str, Any]:
    shared = {name: getattr(settings, name) for name in ("learning_rate", "seed", "device")}
    given = trainers.arguments(folder, batch=batch, save_steps=_SAVE_STEPS, **shared)
    return {**given, "train_sampling_strategy": "sequential"}  # the data hold all epochs, in order


def _train(trainer: Callable[..., Any], model: Any, arguments: Any, data: Any, tokenizer: Any, collator: Any, folder: Path) -> float:
    made = trainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer, data_collator=collator)
    loss = trainers.fit(made, folder)
    made.model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return loss
