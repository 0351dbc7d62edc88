"""The supervised start, with TRL's ``SFTTrainer``: the model learns replies of experts or of a user's data, as the environment shows them.

system: Continue the text so that it sounds positive. ...   user: The movie we saw   assistant: was moving and clever.
                                                                                               ^ learnt
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from agents import trainers
from agents.files import keep, kept
from agents.kl import fingerprint
from agents.models import ModelSpec, locate
from agents.rlhf.arguments import RLHFArgs
from agents.tiny import Row, expert_rows
from agents.transcript import token_env
from lm_envs.core import TextEnv
from lm_envs.tokens import TokenEnv, load_tokenizer
from lm_envs.types import Message
from lm_envs.user_data import read

RESULT = "start.json"
_FIRST_SEED = 1_000_000  # of the expert's conversations: away from those of training and judging
_BATCH = 8
_SAVE_STEPS = 50
_LONGEST = 1024  # tokens of a conversation


def make_start(args: RLHFArgs, folder: Path) -> dict[str, Any]:
    """Make the start, a Hugging Face folder, or do what is left of that.

    Returns:
        ``"fingerprint"`` of its weights; with a supervised start ``"examples"``, ``"tokens"`` and the mean ``"loss"`` of the steps.

    Raises:
        ValueError: when no conversation is short enough, and as ``DataError`` for a file that can't be used.
    """
    source = locate(args.model)
    model = ModelSpec.of(source).build()
    names = ("start", "start_examples", "start_lr", "start_epochs", "env", "env_kwargs", "seed")
    what = {"of": fingerprint(model), **({name: getattr(args, name) for name in names} if args.start != "none" else {})}
    if found := kept(folder / RESULT, what):
        return found
    began = time.perf_counter()
    result: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    if args.start != "none":
        env = token_env(args.env, source, {**(args.env_kwargs or {}), "split": "train"})
        rows = [row for row in _rows(args, env) if len(row.ids) <= _LONGEST]
        if not rows:
            raise ValueError(f"none of the conversations to start from has at most {_LONGEST} tokens")
        result = {"examples": len(rows), "tokens": sum(len(row.ids) for row in rows), "loss": _fit(model, source, rows, args, folder)}
    model.save_pretrained(folder)  # type: ignore[operator]
    load_tokenizer(source).save_pretrained(folder)
    made = keep(folder / RESULT, what, {**result, "seconds": time.perf_counter() - began, "fingerprint": fingerprint(model)})
    trainers.done(folder)
    return made


def _rows(args: RLHFArgs, tokens: TokenEnv) -> Iterator[Row]:
    env, chat = tokens.env.unwrapped, tokens.chat
    if not isinstance(env, TextEnv):
        raise ValueError(f"a supervised start needs an environment of lm_envs; {args.env} is a {type(env).__name__}")
    if args.start == "expert":
        for number in range(args.start_examples):
            yield from expert_rows(env, chat, _FIRST_SEED + number)
        return
    opening, _ = env.reset(seed=_FIRST_SEED)
    instructions = tuple(message for message in opening if message["role"] == "system")  # stand before a user's prompts, too
    answered = read(args.start, lambda row: (row["prompt"], row["reply"]), required=("prompt", "reply"))
    for prompt, reply in answered[: args.start_examples]:
        row = Row()
        row.add(chat.open((*instructions, Message(role="user", content=prompt))), learnt=False)
        row.add(chat.encode_reply(reply))
        yield row


def _fit(model: Any, source: str, rows: list[Row], args: RLHFArgs, folder: Path) -> float:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    order = [int(row) for _ in range(args.start_epochs) for row in np.random.default_rng(args.seed).permutation(len(rows))]
    data = Dataset.from_dict({"input_ids": [rows[row].ids for row in order], "labels": [rows[row].labels for row in order]})
    given = trainers.arguments(
        folder, batch=_BATCH, learning_rate=args.start_lr, seed=args.seed, device=args.device, save_steps=_SAVE_STEPS
    )
    arguments = trainers.configuration(SFTConfig, **given, max_length=_LONGEST)
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)
    loss = trainers.fit(trainer, folder)
    model.to("cpu").eval()
    return loss
