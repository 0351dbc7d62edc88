"""Trainers of transformers and TRL: what all are given here, and how a killed one goes on."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import torch

from agents.models import bf16_is_fast

CHECKPOINTS = "training"


def arguments(folder: Path, *, batch: int, learning_rate: float, seed: int, device: str, save_steps: int) -> dict[str, Any]:
    """Keyword arguments of ``TrainingArguments`` and of TRL's configurations: one pass over data in random order, by AdamW.

    Args:
        folder: of the model; checkpoints stand in a folder of their own there until training is over.
        batch: examples in a step.
        learning_rate: peak of a linear schedule with warm-up.
        seed: of everything that is drawn.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        save_steps: steps between checkpoints.
    """
    cpu = device == "cpu" or not torch.cuda.is_available()
    return {
        "output_dir": str(folder / CHECKPOINTS),
        "num_train_epochs": 1,
        "per_device_train_batch_size": batch,
        "learning_rate": learning_rate,
        "warmup_steps": 0.06,
        "weight_decay": 0.01,
        "seed": seed,
        "use_cpu": cpu,
        "bf16": bf16_is_fast(torch.device("cpu" if cpu else "cuda")),
        "gradient_checkpointing": False,
        "save_strategy": "steps",
        "save_steps": save_steps,
        "save_total_limit": 2,
        "logging_steps": 20,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": not cpu,
    }


def configuration(cls: Any, **given: Any) -> Any:
    """An instance of a configuration class; that transformers renamed an argument of it is no news for users."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
        return cls(**given)


def fit(trainer: Any, folder: Path) -> float:
    """Train, from the last checkpoint in the folder where there is one; the mean loss of the steps."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return float(trainer.train(resume_from_checkpoint=last_checkpoint(folder / CHECKPOINTS)).training_loss)


def done(folder: Path) -> None:
    """Remove the checkpoints of a training whose model is saved."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)


def last_checkpoint(folder: Path) -> str | None:
    """The latest checkpoint that is complete: what a Trainer writes last is its state."""
    found = sorted((int(path.parent.name.rpartition("-")[2]), path.parent) for path in folder.glob("checkpoint-*/trainer_state.json"))
    return str(found[-1][1]) if found else None
