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
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from rich.progress import Progress
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lm_envs.chat import ChatFormat
from lm_envs.core import TextEnv
from lm_envs.pieces import PIECES
from lm_envs.types import Messages

FAMILIES = ("Sentiment", "Dialogue", "CustomerService")  # those whose text the bundled model is trained on
PAD, END = "<|pad|>", "<|end|>"
ROPE_THETA = 100_000.0
NOT_LEARNT = -100  # torch's cross-entropy leaves such labels out
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
    characters: int = 1_500_000
    """characters of the conversations of each family, about"""
    epochs: int = 2
    """passes over all conversations"""
    vocab_size: int = 4096
    """tokens, control tokens included"""
    hidden_size: int = 192
    """width of the residual stream"""
    layers: int = 4
    """transformer blocks"""
    context: int = 2048
    """longest context in tokens"""
    drills: int = 12_000
    """exercises in copying, once before the conversations and once among them"""
    batch_tokens: int = 4096
    """tokens of a batch, padding included"""
    learning_rate: float = 2e-3
    """peak of a cosine schedule with warm-up"""
    threads: int = 2
    """threads of the processor; other numbers add in another order"""
    precision: str = "bfloat16"
    """of multiplications in training, or "float32"; weights are float32 throughout"""
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
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(PIECES), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
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


@dataclass
class Row:
    """Tokens to learn from.

    Attributes:
        ids: all of them.
        labels: the same where they are learnt, else :data:`NOT_LEARNT`.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)

    def add(self, ids: Sequence[int], learnt: bool = True) -> None:
        """Append tokens."""
        self.ids += ids
        self.labels += ids if learnt else [NOT_LEARNT] * len(ids)


def expert_rows(env: gym.Env[Messages, str], chat: ChatFormat, seed: int, memory: bool = True) -> Iterator[Row]:
    """A conversation of a scripted expert to imitate: its replies are learnt, as token environments show them.

    Args:
        env: a text environment, or a wrapper that shows less of it.
        chat: how it is encoded.
        seed: of the conversation.
        memory: whether a reply comes after all that was shown before, in one row; else after what is shown last, in a row of its own.
    """
    text = env.unwrapped
    assert isinstance(text, TextEnv)
    shown, _ = env.reset(seed=seed)
    row = Row()
    row.add(chat.open(shown), learnt=False)
    over = False
    while not over:
        known = len(text.messages)
        reply = text.expert_reply()
        written = chat.encode_reply(reply)
        row.add(written)
        shown, _, terminated, truncated, _ = env.step(reply)
        over = terminated or truncated
        if memory and not over:
            row.add(chat.close(written[-1], text.messages[known + 1 :], prompt=True), learnt=False)
        elif not over:
            yield row
            row = Row()
            row.add(chat.open(shown), learnt=False)
    yield row


def encode(conversation: Conversation, chat: ChatFormat) -> Row:
    """A conversation, as a token environment would have shown it."""
    row = Row()
    row.add(chat.open(conversation.opening))
    for reply, following in conversation.turns:
        written = chat.encode_reply(reply)
        row.add(written)
        row.add(chat.close(written[-1], following) if following else [])
    return row


def drills(count: int, words: Sequence[str], chat: ChatFormat, rng: np.random.Generator) -> Iterator[Row]:
    """Exercises in copying: somebody tells who they are, and it is noted in another order.

    user: My name is Harbour Lisa. My postcode is K8 2QD.   assistant: {"postcode": "K8 2QD", "name": "Harbour Lisa"}
                                                                       ^ learnt
    """
    for _ in range(count):
        letters, digits, chosen = rng.choice(list(string.ascii_uppercase), 5), rng.integers(10, size=9).astype(str), rng.choice(words, 4)
        told = {
            "name": f"{chosen[0].title()} {chosen[1].title()}",
            "email": f"{chosen[2].lower()}.{chosen[3].lower()}@post.example",
            "postcode": f"{''.join(letters[: rng.integers(1, 3)])}{digits[0]} {digits[1]}{''.join(letters[3:])}",
            "order": "".join(digits[2:6]),
            "customer": f"C{''.join(digits[6 : rng.integers(7, 9)])}",
        }
        first, second = (rng.choice(list(told), 4, replace=False).tolist() for _ in range(2))
        first += [key for key in second if key not in first]
        row = Row()
        row.add(chat.open(({"role": "user", "content": " ".join(f"My {key} is {told[key]}." for key in first)},)), learnt=False)
        row.add(chat.encode_reply(json.dumps({key: told[key] for key in second})))
        yield row


def batches(rows: Sequence[Row], tokens: int, rng: np.random.Generator) -> Iterator[dict[str, torch.Tensor]]:
    """Ids and labels, ``(rows, length)`` each, of one pass in random order.

    Rows of like length share a batch. Padding stands on the right, where no token looks at it.
    """
    order = sorted(rng.permutation(len(rows)).tolist(), key=lambda number: len(rows[number].ids) // 16)
    groups: list[list[int]] = [[]]
    for number in order:
        if groups[-1] and (len(groups[-1]) + 1) * len(rows[number].ids) > tokens:
            groups.append([])
        groups[-1].append(number)
    pad = torch.nn.utils.rnn.pad_sequence
    for index in rng.permutation(len(groups)).tolist():
        ids, labels = ([torch.tensor(getattr(rows[number], name)) for number in groups[index]] for name in ("ids", "labels"))
        yield {"input_ids": pad(ids, batch_first=True), "labels": pad(labels, batch_first=True, padding_value=NOT_LEARNT)}


def train(
    passes: Sequence[Sequence[Row]], tokenizer: PreTrainedTokenizerFast, args: Args, device: torch.device
) -> tuple[LlamaForCausalLM, float]:
    """Next-token training; the model and its mean loss (nats a token) over the last hundred batches."""
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
        attention_bias=True,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    if args.layers > 1:
        let_copy(model, torch.Generator().manual_seed(args.seed))
    model.to(device)  # type: ignore[arg-type]
    rng = np.random.default_rng(args.seed)
    dealt = [list(batches(rows, args.batch_tokens, rng)) for rows in passes]
    with Progress() as progress:
        task = progress.add_task("training", total=sum(map(len, dealt)))
        losses = fit(
            model,
            dealt,
            args.learning_rate,
            weight_decay=0.05,
            precision=args.precision,
            on_step=lambda losses: progress.update(task, advance=1, description=f"training, loss {np.mean(losses[-100:]):.3f}"),
        )
    return model, float(np.mean(losses[-100:]))


@torch.no_grad()
def let_copy(model: LlamaForCausalLM, generator: torch.Generator) -> None:
    """Set initial weights with which the model copies: a reply at a service desk is made of what others said.

    Small models take very long to find by themselves the two heads that this takes (Olsson et al. 2022, "In-context learning and induction
    heads"). One in the first layer attends to the token before and notes it; one in the second attends to where the present token was
    noted, which is what followed it the last time, and writes that. All else adds nothing at first. Training is free to change everything.

    Args:
        model: with attention biases, two layers or more, and rotary positions. The first head of each of its first two layers is set.
        generator: draws the projections.
    """
    config = model.config
    size, half = config.hidden_size // config.num_attention_heads, config.hidden_size // config.num_attention_heads // 2
    for layer in model.model.layers:
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
    noting, matching = (layer.self_attn for layer in model.model.layers[:2])
    token, note, written = (
        torch.linalg.qr(torch.randn(config.hidden_size, size, generator=generator)).Q.T.to(model.device) for _ in range(3)
    )
    angles = ROPE_THETA ** (-torch.arange(half) / half)  # of a step, by pair of components
    fast = 7.0 * (torch.arange(half) < half // 2)  # the pairs that tell neighbours apart
    noting.q_proj.weight[:size], noting.k_proj.weight[:size] = 0.0, 0.0
    noting.q_proj.bias[:size] = torch.cat([fast, torch.zeros(half)])
    noting.k_proj.bias[:size] = torch.cat([fast * angles.cos(), fast * angles.sin()])  # turned by a step: they meet one step apart
    noting.v_proj.weight[:size], noting.o_proj.weight[:, :size] = token, 0.04 * note.T
    slow = 1.7 * (torch.arange(half) >= half // 3).repeat(2)[:, None].to(model.device)  # the pairs that hardly turn
    matching.q_proj.weight[:size], matching.k_proj.weight[:size] = slow * token, slow * note
    matching.v_proj.weight[:size], matching.o_proj.weight[:, :size] = written, 0.3 * written.T


def fit(
    model: Any,
    passes: Sequence[Sequence[Mapping[str, torch.Tensor]]],
    learning_rate: float,
    *,
    weight_decay: float,
    precision: str = "float32",
    on_step: Callable[[list[float]], Any] = lambda losses: None,
) -> list[float]:
    """Train a causal LM by AdamW.

    Args:
        model: the model; in evaluation mode afterwards.
        passes: batches of each pass: keyword arguments of the model, labels among them.
        learning_rate: peak of a cosine schedule with warm-up.
        weight_decay: of AdamW.
        precision: ``"bfloat16"`` multiplies in that precision, by autocast.
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
        with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
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
    rows = [row for row in (encode(conversation, chat) for conversation in conversations) if len(row.ids) <= args.context]
    lengths = np.array([len(row.ids) for row in rows])
    print(
        f"{len(rows):,} conversations, {lengths.sum():,} tokens; a conversation has {np.median(lengths):.0f} (median), "
        f"{lengths.max()} (longest); {len(conversations) - len(rows)} were longer than {args.context} and left out"
    )
    words = sorted({word for text in texts(conversations) for word in text.split() if word.isascii() and word.isalpha()})
    exercises = list(drills(args.drills, words, chat, rng))
    among = [exercises[number :: args.epochs] for number in range(args.epochs)]
    model, loss = train([exercises, *([*rows, *some] for some in among)], tokenizer, args, torch.device(device))
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
    for option in fields(Args):
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=type(option.default), default=option.default)
    given = vars(parser.parse_args(argv))
    out, device = given.pop("out"), given.pop("device")
    loss = build(Args(**given), out, device=device)
    size = sum(path.stat().st_size for path in out.iterdir()) / 1e6
    print(f"final loss {loss:.3f}; {size:.1f} MB in {out}")


if __name__ == "__main__":
    main()
