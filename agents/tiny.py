"""Train the bundled model `tiny` from nothing on conversations that the environments' own scripted players hold.

    python -m agents.tiny --out lm_envs/bundled/tiny

Experts and random players take turns, so that the model can answer in every family, well and badly: what reinforcement learning
has to work with. Only training splits are used. The result is a Hugging Face folder; equal seeds, versions and thread counts give
equal files.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from rich.progress import Progress
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lm_envs.chat import ChatFormat
from lm_envs.core import TextEnv
from lm_envs.types import Messages

FAMILIES = ("Sentiment", "Dialogue", "CustomerService")  # those whose text the bundled model is trained on
PAD, END = "<|pad|>", "<|end|>"
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['role'] == 'tool' %}{{ message['name'] }}: {% endif %}{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = [PAD, END, "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>"]


@dataclass(frozen=True)
class Args:
    """What decides the result."""

    seed: int = 0
    """seeds scenarios, players, initial weights and the order of batches"""
    characters: int = 1_200_000
    """characters of the conversations of each family, about"""
    epochs: int = 3
    """passes over all conversations"""
    vocab_size: int = 4096
    """tokens, control tokens included"""
    hidden_size: int = 192
    """width of the residual stream"""
    layers: int = 4
    """transformer blocks"""
    context: int = 2048
    """longest context in tokens"""
    batch_tokens: int = 4096
    """tokens of a batch, padding included"""
    learning_rate: float = 2e-3
    """peak of a cosine schedule with warm-up"""
    threads: int = 2
    """threads of the processor; other numbers add in another order"""
    expert_share: float = 0.4
    """share of replies that the expert gives; the random player gives the others"""


class Conversation(NamedTuple):
    """An opening, and each reply with the messages that answered it."""

    opening: Messages
    turns: list[tuple[str, Messages]]


def converse(env: TextEnv, characters: int, rng: np.random.Generator, expert_share: float) -> Iterator[Conversation]:
    """Conversations of about so many characters together between the scripted players and a text environment.

    Half of the conversations are by one player alone, so that the model sees what a good one looks like to its end.
    """
    while characters > 0:
        opening, _ = env.reset(seed=int(rng.integers(2**31)))
        share = float(rng.random() < expert_share) if rng.random() < 0.5 else expert_share
        turns: list[tuple[str, Messages]] = []
        over = False
        while not over:
            known = len(env.messages)
            reply = env.expert_reply() if rng.random() < share else env.random_reply(rng)
            messages, _, terminated, truncated, _ = env.step(reply)
            turns.append((reply, messages[known + 1 :]))
            over = terminated or truncated
        characters -= sum(len(message["content"]) for message in env.messages)
        yield Conversation(opening, turns)


def texts(conversations: Sequence[Conversation]) -> Iterator[str]:
    """Every message's content."""
    for opening, turns in conversations:
        yield from (message["content"] for message in opening)
        for reply, following in turns:
            yield reply
            yield from (message["content"] for message in following)


def train_tokenizer(corpus: Iterator[str], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with a chat template: any text can be written, and comes back as it was."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    backend.train_from_iterator(corpus, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=END, pad_token=PAD, extra_special_tokens=SPECIAL[2:], clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def encode(conversation: Conversation, chat: ChatFormat) -> list[int]:
    """The ids of a conversation, as a token environment would have shown them."""
    ids = chat.open(conversation.opening)
    for reply, following in conversation.turns:
        written = chat.encode_reply(reply)
        ids += written + (chat.close(written[-1], following) if following else [])
    return ids


def batches(rows: Sequence[list[int]], tokens: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """One pass in random order; rows of like length share a batch, padded with -1, of shape (rows, length)."""
    order = sorted(torch.randperm(len(rows), generator=generator).tolist(), key=lambda row: len(rows[row]) // 16)
    groups: list[list[int]] = [[]]
    for row in order:
        if groups[-1] and (len(groups[-1]) + 1) * len(rows[row]) > tokens:
            groups.append([])
        groups[-1].append(row)
    for group in torch.randperm(len(groups), generator=generator).tolist():
        chosen = [torch.tensor(rows[row]) for row in groups[group]]
        yield torch.nn.utils.rnn.pad_sequence(chosen, batch_first=True, padding_value=-1)


def train(
    rows: Sequence[list[int]], tokenizer: PreTrainedTokenizerFast, args: Args, device: torch.device
) -> tuple[LlamaForCausalLM, float]:
    """Next-token training over all positions; the model and its mean loss (nats a token) over the last hundred batches."""
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=args.hidden_size,
        intermediate_size=args.hidden_size * 8 // 3,
        num_hidden_layers=args.layers,
        num_attention_heads=args.hidden_size // 48,
        max_position_embeddings=args.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.to(device)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(args.seed)
    passes = [[_labelled(batch) for batch in batches(rows, args.batch_tokens, generator)] for _ in range(args.epochs)]
    with Progress() as progress:
        task = progress.add_task("training", total=sum(map(len, passes)))
        losses = fit(
            model,
            passes,
            args.learning_rate,
            weight_decay=0.05,
            on_step=lambda losses: progress.update(task, advance=1, description=f"training, loss {np.mean(losses[-100:]):.3f}"),
        )
    return model, float(np.mean(losses[-100:]))


def fit(
    model: Any,
    passes: Sequence[Sequence[Mapping[str, torch.Tensor]]],
    learning_rate: float,
    *,
    weight_decay: float,
    on_step: Callable[[list[float]], Any] = lambda losses: None,
) -> list[float]:
    """Train a causal LM by AdamW.

    Args:
        model: the model; in evaluation mode afterwards.
        passes: batches of each pass: keyword arguments of the model, labels among them.
        learning_rate: peak of a cosine schedule with warm-up.
        weight_decay: of AdamW.
        on_step: told the losses so far, after each step.

    Returns:
        The loss of each step, in nats a token.
    """
    steps = sum(map(len, passes))
    warm_up = max(1, steps // 20)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.02)
    )
    losses: list[float] = []
    model.train()
    for batch in itertools.chain(*passes):
        loss = model(**{name: tensor.to(model.device) for name, tensor in batch.items()}).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        on_step(losses)
    model.eval()
    return losses


def _labelled(batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """A batch of rows padded with -1 as a model takes it."""
    return {"input_ids": batch.clamp(min=0), "attention_mask": (batch >= 0).long(), "labels": batch.masked_fill(batch < 0, -100)}


def build(args: Args, out: Path, families: Sequence[str] = FAMILIES, device: str = "cpu") -> float:
    """Write the model to ``out``; returns the final training loss."""
    rng = np.random.default_rng(args.seed)
    conversations: list[Conversation] = []
    for family in families:
        env = gym.make(f"lm_envs/{family}-v0", disable_env_checker=True).unwrapped
        assert isinstance(env, TextEnv)
        conversations += converse(env, args.characters, rng, args.expert_share)
    tokenizer = train_tokenizer(texts(conversations), args.vocab_size)
    chat = ChatFormat(tokenizer)
    rows = [row for row in (encode(conversation, chat) for conversation in conversations) if len(row) <= args.context]
    lengths = np.array([len(row) for row in rows])
    print(
        f"{len(rows):,} conversations, {lengths.sum():,} tokens; a conversation has {np.median(lengths):.0f} (median), "
        f"{lengths.max()} (longest); {len(conversations) - len(rows)} were longer than {args.context} and left out"
    )
    model, loss = train(rows, tokenizer, args, torch.device(device))
    # Half precision keeps the file small; in it, loading and saving again changes nothing.
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "training.json").write_text(
        json.dumps({**asdict(args), "families": list(families), "final_loss": round(loss, 4)}, indent=2) + "\n"
    )
    return loss


def main(argv: Sequence[str] | None = None) -> None:
    """Command line: one option for each field of :class:`Args`."""
    parser = argparse.ArgumentParser(prog="python -m agents.tiny", description="Train the bundled model anew.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--device", default="cpu")
    for field in fields(Args):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    given = vars(parser.parse_args(argv))
    out, device = given.pop("out"), given.pop("device")
    loss = build(Args(**given), out, device=device)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"final loss {loss:.3f}; {size:.1f} MB in {out}")


if __name__ == "__main__":
    main()
