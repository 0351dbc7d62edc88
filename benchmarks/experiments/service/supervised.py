"""The supervised start: the model goes on learning from the scripted expert's conversations, from its replies alone.

system: ...   user: Where is my parcel?   assistant: What is your order number?   user: It's 4411.   assistant: {"name": ...
                                          ^ learnt                                                   ^ learnt
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from agents import tiny
from agents.files import keep, kept
from agents.kl import fingerprint
from agents.models import ModelSpec, locate
from benchmarks.experiments.service.study import ARMS, Arm, Study, text_env
from lm_envs.chat import ChatFormat
from lm_envs.tokens import load_tokenizer

_DECISIVE = (
    "model",
    "intents",
    "max_needs",
    "max_turns",
    "rules",
    "max_length",
    "transcripts",
    "epochs",
    "start_rate",
    "start_batch",
    "start_seed",
)


def transcripts(study: Study, arm: Arm, chat: ChatFormat) -> Iterator[tiny.Row]:
    """The expert's conversations of the train split: a row each, or without memory a row a reply."""
    env = text_env(study, arm.memory, split="train", adversarial=arm.adversarial)
    for number in range(study.transcripts):
        yield from tiny.expert_rows(env, chat, study.start_seed + number, arm.memory)


def fit(model: Any, rows: Sequence[tiny.Row], study: Study) -> float:
    """Train a causal LM on the rows' labels; the mean loss of the last pass, in nats a token."""
    generators = (np.random.default_rng([study.start_seed, number]) for number in range(study.epochs))
    passes = [list(tiny.batches(rows, study.start_batch, rng)) for rng in generators]
    losses = tiny.fit(model, passes, study.start_rate, weight_decay=0.0, precision="bfloat16")
    return float(np.mean(losses[-len(passes[-1]) :]))


def started(study: Study, arm: str, folder: Path) -> dict[str, Any] | None:
    """What :func:`make_start` returned for these settings and the model as it is now, if it has been run."""
    return kept(folder / "start.json", _what(study, arm))


def make_start(study: Study, arm: str, folder: Path) -> dict[str, Any]:
    """Make the start of an arm: a folder with model, tokenizer and ``start.json``, which is returned."""
    torch.set_num_threads(study.threads)
    torch.manual_seed(study.start_seed)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    began = time.perf_counter()
    source = locate(study.model)
    model, tokenizer = ModelSpec.of(source).build(), load_tokenizer(source)
    rows = [row for row in transcripts(study, ARMS[arm], ChatFormat(tokenizer)) if len(row.ids) <= study.max_length]
    loss = fit(model, rows, study)
    beside = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    model.save_pretrained(beside)  # type: ignore[operator]
    tokenizer.save_pretrained(beside)
    lengths = [len(row.ids) for row in rows]
    found = {"rows": len(rows), "longest": max(lengths), "tokens": sum(lengths), "loss": loss, "seconds": time.perf_counter() - began}
    result = keep(beside / "start.json", _what(study, arm), {**found, "fingerprint": fingerprint(model)})
    shutil.rmtree(folder, ignore_errors=True)
    beside.replace(folder)
    return result


def _what(study: Study, arm: str) -> dict[str, Any]:
    of = fingerprint(ModelSpec.of(locate(study.model)).build())
    return {"arm": ARMS[arm]._asdict(), "of": of, **{name: getattr(study, name) for name in _DECISIVE}}
