"""The command ``reward-model``: data, training, calibration, held-out results, each kept as it is done."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from agents import trainers
from agents.arguments import UsageError
from agents.files import read_json, write_json
from agents.reward_model import calibration, heldout, plot
from agents.reward_model.arguments import RewardModelArgs
from agents.reward_model.data import Data, Preference, Rated, alone, preferences, rated
from agents.reward_model.labels import label, levels
from agents.reward_model.pairs import pair
from agents.reward_model.training import Settings, preference_model, rating_model
from lm_envs.rendering import printable
from lm_envs.rewards import TrainedReward, VaderSentiment
from lm_envs.rewards.trained import READS, RewardSpec, is_trained

ARGS, TRAINED, RESULTS, PLOT = "args.json", "trained.json", "results.json", "calibration.png"
_HEADS = {"preferences": "preference", "ratings": "regression", "labels": "label"}
_CALIBRATION_ROUNDS = 4  # matchings of the calibration texts

Array = npt.NDArray[np.float64]


def run(args: RewardModelArgs, console: Console | None = None) -> dict[str, Any]:
    """Train, calibrate and test a reward model, or do what is left of that; returns what ``results.json`` holds.

    Raises:
        UsageError: when the folder holds something else.
        AssetError: when data or the base model can't be had.
        ValueError: for data that can't be used, or arguments out of range.
    """
    console = console or Console()
    out = _folder(args)
    results: dict[str, Any] | None = read_json(out / RESULTS)
    if results is None or not is_trained(out):
        data = _data(args)
        training = read_json(out / TRAINED) or _train(args, data, out, console)
        results = _test(args, data, training, out)
        write_json(out / RESULTS, results)
    plot.draw(results, out / PLOT)
    show(results, console)
    console.print(f"reward model: {out}; results.json, calibration.png", highlight=False, soft_wrap=True)
    return results


def show(results: Mapping[str, Any], console: Console) -> None:
    """The results as a table."""
    scorers = list(next(iter(results["accuracy"].values()))["by_scorer"])
    table = Table("", "pairs", *map(printable, scorers), *(f"over {printable(one)}" for one in scorers[1:]), title="held-out accuracy")
    for domain, found in results["accuracy"].items():
        cells = [_shown(found["by_scorer"][name]) for name in scorers] + [_shown(found["gains"][name], "+") for name in scorers[1:]]
        table.add_row(printable(domain), f"{found['pairs']:,}", *cells)
    console.print(table)
    console.print(f"calibration error {results['calibration']['error']:.3f} {results['calibration']['unit']}", highlight=False)


def _folder(args: RewardModelArgs) -> Path:
    out = Path(args.out)
    before = read_json(out / ARGS)
    if before is None and out.exists() and any(out.iterdir()):
        raise UsageError(f"{out} is not empty; choose another folder")
    if before is not None and before != asdict(args):
        changed = ", ".join(sorted(f"--{name.replace('_', '-')}" for name, value in asdict(args).items() if before.get(name) != value))
        raise UsageError(f"{out} holds a reward model with other arguments ({changed}); choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / ARGS, asdict(args))
    return out


def _data(args: RewardModelArgs) -> Data[Any]:
    if args.data in ("hutto", "chitchat"):
        return rated(args.data, attribute=args.attribute)
    with_ratings = args.kind != "preferences" or "rating" in _columns(args.data)
    return rated(args.data) if with_ratings else preferences(args.data)


def _columns(path: str) -> set[str]:
    """Columns of a file's first row; what is wrong with the file is found by those who read it."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            first = next(csv.reader(file)) if path.lower().endswith(".csv") else json.loads(file.readline())
    except (OSError, ValueError, StopIteration, csv.Error):
        return set()
    return set(first) if isinstance(first, (list, dict)) else set()


def _settings(args: RewardModelArgs) -> Settings:
    given = {name: getattr(args, name) for name in ("epochs", "batch_size", "max_length", "seed", "device", "frozen_layers")}
    if low := [name for name in ("epochs", "batch_size", "max_length") if given[name] < 1]:
        raise UsageError(f"--{low[0].replace('_', '-')} must be at least 1, got {given[low[0]]}")
    return Settings(base=args.model, learning_rate=args.lr, **given)


def _train(args: RewardModelArgs, data: Data[Any], out: Path, console: Console) -> dict[str, Any]:
    settings, train = _settings(args), data.parts["train"]
    began = time.perf_counter()
    found: dict[str, Any] = {"examples": len(train)}
    if args.kind == "preferences":
        pairs: Sequence[Preference] = train * args.epochs
        if isinstance(train[0], Rated):
            pairs = pair(train, args.epochs, args.margin, np.random.default_rng(args.seed))
        console.print(f"{data.name}: {len(train):,} for training, {len(pairs):,} pairs", highlight=False)
        found |= {"pairs": len(pairs), "loss": preference_model(pairs, data.reads, replace(settings, epochs=1), out)}
    else:
        console.print(f"{data.name}: {len(train):,} for training", highlight=False)
        ratings = np.array([one.rating for one in train])
        if args.kind == "labels":
            edges = data.edges or levels(ratings)
            targets, values = label(ratings, edges)
            found |= {"edges": edges, "values": values}
            found["loss"] = rating_model(train, targets, len(values), data.reads, settings, out)
        else:
            found["loss"] = rating_model(train, ratings, 1, data.reads, settings, out)
    found["seconds"] = time.perf_counter() - began
    write_json(out / TRAINED, found)
    trainers.done(out)
    return found


def _test(args: RewardModelArgs, data: Data[Any], training: Mapping[str, Any], out: Path) -> dict[str, Any]:
    spec = RewardSpec(
        head=_HEADS[args.kind],
        name=args.name or data.name.partition(",")[0],
        reads=data.reads,
        max_length=args.max_length,
        values=tuple(training.get("values", ())),
        about={"data": data.name, "kind": args.kind, "model": args.model, "seed": args.seed, "examples": training["examples"]},
    )
    spec.save(out)
    found = _calibration(args, data, TrainedReward(out, device=_device(args)))
    spec = replace(spec, scale=found.scale, offset=found.offset)
    spec.save(out)
    results = _heldout(args, data, TrainedReward(out, device=_device(args)))
    results |= {"args": asdict(args), "training": training}
    accuracy = {domain: one["by_scorer"][spec.name] for domain, one in results["accuracy"].items()}
    replace(spec, about={**spec.about, "heldout_accuracy": accuracy, "calibration_error": results["calibration"]["error"]}).save(out)
    return results


def _device(args: RewardModelArgs) -> str | None:
    return None if args.device == "auto" else args.device


def _calibration(args: RewardModelArgs, data: Data[Any], model: TrainedReward) -> calibration.Calibration:
    part: Sequence[Any] = data.parts["calibration"]
    if isinstance(part[0], Preference):
        return calibration.of_preferences(*_of_pairs(model, part))
    raw = dict(zip(map(id, part), np.array(model.raw([one.exchange for one in part])), strict=True))
    if args.kind != "preferences":
        return calibration.of_ratings(np.array(list(raw.values())), np.array([one.rating for one in part]))
    scores = {id(one.exchange): raw[id(one)] for one in part}
    pairs = pair(part, _CALIBRATION_ROUNDS, args.margin, np.random.default_rng(args.seed))
    sides = (np.array([scores[id(getattr(one, side))] for one in pairs]) for side in ("chosen", "rejected"))
    return calibration.of_preferences(*sides)


def _of_pairs(score: Any, pairs: Sequence[Preference]) -> tuple[Array, Array]:
    both = np.array(score([one.chosen for one in pairs] + [one.rejected for one in pairs]), dtype=np.float64)
    return both[: len(pairs)], both[len(pairs) :]


def _scorers(data: Data[Any], model: TrainedReward) -> dict[str, Any]:
    """The model, and what it should be better than: VADER on the same text, and the text's length."""
    read = READS[data.reads]
    vader = VaderSentiment("positive")
    return {
        model.name: model,
        "VADER": lambda some: vader([alone(read(one)) for one in some]),
        "length": lambda some: [len(read(one)) for one in some],
    }


def _heldout(args: RewardModelArgs, data: Data[Any], model: TrainedReward) -> dict[str, Any]:
    part: list[Any] = list(data.parts["test"])
    scorers, rng = _scorers(data, model), np.random.default_rng(args.seed)
    by_domain = {domain: np.flatnonzero([one.domain == domain for one in part]) for domain in sorted({one.domain for one in part})}
    sources = {domain: [part[int(row)].source for row in rows] for domain, rows in by_domain.items()}
    accuracy: dict[str, heldout.Accuracies] = {}
    if isinstance(part[0], Preference):
        sides = {name: _of_pairs(score, part) for name, score in scorers.items()}
        for domain, rows in by_domain.items():
            chosen, rejected = ({name: both[side][rows] for name, both in sides.items()} for side in (0, 1))
            accuracy[domain] = heldout.of_pairs(chosen, rejected, sources[domain])
        return _results(accuracy, _probabilities(sides[model.name][0] - sides[model.name][1], rng), "of a probability")
    scores = {name: np.array(score([one.exchange for one in part]), dtype=np.float64) for name, score in scorers.items()}
    ratings = np.array([one.rating for one in part])
    for domain, rows in by_domain.items():
        accuracy[domain] = heldout.of_ratings(
            {name: one[rows] for name, one in scores.items()}, ratings[rows], sources[domain], args.margin
        )
    if args.kind != "preferences":
        return _results(accuracy, (scores[model.name], ratings), "of a rating")
    ours = {id(one.exchange): score for one, score in zip(part, scores[model.name], strict=True)}
    pairs = pair(part, 1, args.margin, rng)
    differences = np.array([ours[id(one.chosen)] - ours[id(one.rejected)] for one in pairs])
    return _results(accuracy, _probabilities(differences, rng), "of a probability")


def _probabilities(differences: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Predicted probabilities and what was preferred, for differences of chosen and rejected, half of them turned round."""
    turned = rng.random(len(differences)) < 0.5
    x = np.where(turned, -differences, differences)
    return 1.0 / (1.0 + np.exp(-np.clip(x, -50.0, 50.0))), (~turned).astype(np.float64)


def _results(accuracy: Mapping[str, heldout.Accuracies], plotted: tuple[Array, Array], unit: str) -> dict[str, Any]:
    found = calibration.bins(*plotted)
    calibrated = {"unit": unit, "error": calibration.error(found), "bins": [one._asdict() for one in found]}
    return {"accuracy": {domain: asdict(one) for domain, one in accuracy.items()}, "calibration": calibrated}


def _shown(estimate: Mapping[str, float], sign: str = "") -> str:
    return f"{estimate['mean']:{sign}.3f} [{estimate['low']:{sign}.3f}, {estimate['high']:{sign}.3f}]"
