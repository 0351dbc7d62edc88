"""Trains the service desk's reader of replies: `python -m benchmarks.experiments.reply_reader.train`.

    replies with labels (the tests' tables, `replies.txt`, `acts.txt`, even half of `second_author.jsonl`)
    + sentences composed from phrases (`compose.py`)  ->  torch network  ->  lm_envs/.../data/understanding/learned.npz

Some 50 seconds of processor time on one core. `learned.py` has the same network in numpy. Never trained on are the odd half of
`second_author.jsonl` and `development.txt`: 1,097 replies that one author wrote, by which patterns and thresholds were chosen, and 74
that SmolLM2-135M made of the tests' replies, as far as they made sense, mended and labelled one by one.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.experiments.reply_reader.compose import sentence as composed
from lm_envs.envs.customer_service import learned, understanding
from lm_envs.envs.customer_service.words import sentences

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TESTS = ROOT / "tests/lm_envs/envs/customer_service"
OUT = ROOT / "lm_envs/envs/customer_service/data/understanding/learned.npz"
INDEX = {label: index for index, label in enumerate(learned.LABELS)}
REASONS = [index for label, index in INDEX.items() if label.startswith("reason=")]
FACTS = [index for label, index in INDEX.items() if "=" in label]
EPOCHS, BATCH, COMPOSED, SEED = 14, 64, 26_000, 2
SMOOTHING, FLOOR = 0.98, 0.002

Row = tuple[list[str], np.ndarray, np.ndarray, float]
"""Tags of a sentence, its labels (len(LABELS),), which of them are known (len(LABELS),), and its weight."""


class Net(nn.Module):
    """Convolutions over words, their maxima, a hidden layer beside them, and logits."""

    def __init__(self, words: int, width: int = 32, channels: int = 96, hidden: int = 96) -> None:
        super().__init__()
        self.e = nn.Embedding(words, width, padding_idx=0)
        self.f = nn.Embedding(len(learned.FORMS), width)
        nn.init.normal_(self.e.weight, 0, 0.3)
        nn.init.normal_(self.f.weight, 0, 0.1)
        self.c3 = nn.Conv1d(width, channels, 3, padding=1)
        self.c5 = nn.Conv1d(width, channels // 2, 5, padding=2)
        features = channels + channels // 2
        self.h = nn.Linear(features, hidden)
        self.o = nn.Linear(hidden + features, len(learned.LABELS))
        self.drop = nn.Dropout(0.25)

    def forward(self, words: torch.Tensor, forms: torch.Tensor) -> torch.Tensor:
        """Logits, (batch, len(LABELS))."""
        padding = (words == 0).unsqueeze(-1)
        x = self.drop((self.e(words) + self.f(forms)).masked_fill(padding, 0)).transpose(1, 2)
        x = torch.cat([self.c3(x), self.c5(x)], 1).relu().masked_fill(padding.transpose(1, 2), 0).amax(2)
        x = self.drop(x)
        return self.o(torch.cat([self.drop(self.h(x).relu()), x], 1))


def rows(seed: int, even: bool) -> list[Row]:
    """Everything to train on."""
    found: list[Row] = []
    for path in (*sorted((TESTS / "understanding_replies").glob("*.txt")), HERE / "replies.txt"):
        for line in path.read_text("utf-8").splitlines():
            text, acts, facts = (part.strip() for part in line.split("|"))
            labels = {*acts.split(), *("=".join(fact.strip().split("=", 1)) for fact in facts.split(";") if fact.strip())}
            found += _of_reply(text, labels, 4.0 if path.parent == HERE else 3.0)
    for line in (HERE / "acts.txt").read_text("utf-8").splitlines():
        acts, _, texts = line.partition(":")
        for text in texts.split(" / "):
            labels = {*acts.split(), *(["empathise"] if "orry" in text else [])}
            row = _row(text.strip() + ("" if text.strip().endswith("?") else "."), labels, 3.0)
            row[2][FACTS] = 0
            found.append(row)
    if even:
        for line in (TESTS / "second_author.jsonl").read_text("utf-8").splitlines():
            reply = json.loads(line)
            if reply["id"] % 2 == 0:
                found += _of_reply(reply["text"], {*reply["acts"], *map("=".join, reply["facts"])}, 4.0)
    rng = np.random.default_rng(seed)
    for _ in range(COMPOSED):
        text, labels = composed(rng)
        if len(list(sentences(text))) == 1:
            found.append(_row(text, labels, 1.0))
    return found


def _of_reply(text: str, labels: set[str], weight: float) -> Iterator[Row]:
    """A reply's sentences; one of several sentences counts only if the patterns tell which label belongs to which."""
    labels = labels & INDEX.keys()
    parts = list(sentences(text))
    if len(parts) == 1:
        yield _row(parts[0], labels, weight)
        return
    said = [understanding._sentence(part, ()) for part in parts]
    each = [{*one.acts, *map("=".join, one.facts), *(f"reason={reason}" for reason in one.reasons)} & INDEX.keys() for one in said]
    each = [{label for label in one if label in labels or "reason" not in label} for one in each]
    if set[str]().union(*each) == labels:
        for part, one in zip(parts, each, strict=True):
            yield _row(part, one, weight)


def _row(text: str, labels: set[str], weight: float) -> Row:
    wanted, known = np.zeros(len(INDEX), np.float32), np.ones(len(INDEX), np.float32)
    wanted[[INDEX[label] for label in labels if label in INDEX]] = 1
    if not any(label.startswith(("refuse", "reason")) for label in labels):
        known[REASONS] = 0  # a sentence may give a reason where nothing is refused
    reader = understanding._reader()
    spelt, _ = reader._entities.replace(text.lower(), ())
    tags = [understanding._bare(tag) for tag in reader._lexicon.tagged(reader._lexicon.words(spelt))][: learned.MAX_TAGS]
    return [*tags, *(["<q>"] if text.rstrip("\"') ").endswith("?") else [])], wanted, known, weight


def train(data: list[Row], seed: int) -> dict[str, np.ndarray]:
    """The weights, as ``learned.Network`` takes them."""
    parts = [[learned.split(tag) for tag in tags] for tags, *_ in data]
    counts = Counter(word for row in parts for word in {word for word, _ in row})
    vocabulary = {word: index for index, word in enumerate(sorted(counts, key=lambda word: (-counts[word], word)), 2)}
    often = np.array([0, 0, *(counts[word] for word in vocabulary)])
    lengths = np.array([len(row) for row in parts])
    words, forms = (np.zeros((len(parts), lengths.max()), np.int64) for _ in range(2))
    for i, row in enumerate(parts):
        words[i, : len(row)] = [vocabulary[word] for word, _ in row]
        forms[i, : len(row)] = [learned.FORMS.index(form) for _, form in row]
    wanted, known = (np.stack([row[part] for row in data]) for part in (1, 2))
    weights = np.array([row[3] for row in data], np.float32)
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    net = Net(len(vocabulary) + 2)
    adam = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.02)
    steps = EPOCHS * (len(words) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 4e-3, steps)
    for epoch in range(EPOCHS):
        order = rng.permutation(len(words))
        order = order[np.argsort(lengths[order] // 4, kind="stable")]
        total = 0.0
        for start in rng.permutation(range(0, len(order), BATCH)):
            batch = order[start : start + BATCH]
            seen = words[batch, : max(int(lengths[batch].max()), 1)].copy()
            hidden = rng.random(seen.shape) < np.where(often[seen] < 3, 0.4, 0.06)
            seen[hidden & (seen > 1)] = 1  # so that unknown words become known as such
            logits = net(torch.from_numpy(seen), torch.from_numpy(forms[batch, : seen.shape[1]]))
            target = torch.from_numpy(wanted[batch] * SMOOTHING + FLOOR)
            losses = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
            loss = (losses * torch.from_numpy(known[batch] * weights[batch, None])).sum(1).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total * BATCH / len(order):.3f}", flush=True)
    arrays = {name.replace(".", "_"): value.numpy().astype(np.float16) for name, value in net.state_dict().items()}
    return {"words": np.array(list(vocabulary)), **arrays}


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--without-even", action="store_true", help="leave the second author out altogether, to measure on both halves")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    learned.amend = lambda *_: ([], [])  # type: ignore[assignment]  # what is trained has no say in its own labels
    data = rows(args.seed, not args.without_even)
    print(f"{len(data)} sentences")
    weights: dict[str, Any] = train(data, args.seed)
    np.savez_compressed(args.out, **weights)


if __name__ == "__main__":
    main()
