"""The command from data to calibrated model, with a tiny BERT that has to learn which word people like."""

import json

import numpy as np
import pytest
import torch
from rich.console import Console

pytest.importorskip("trl")
pytest.importorskip("matplotlib")

from transformers import AutoModelForSequenceClassification  # noqa: E402

from agents import trainers  # noqa: E402
from agents.arguments import UsageError  # noqa: E402
from agents.cli import main  # noqa: E402
from agents.reward_model import command, training  # noqa: E402
from agents.reward_model.arguments import RewardModelArgs  # noqa: E402
from lm_envs.rewards import TrainedReward  # noqa: E402
from tests.lm_envs.rewards.exchanges import exchange  # noqa: E402
from tests.lm_envs.rewards.test_classifier import save_bert  # noqa: E402

FILLERS = ["film", "the", "a", "was", "very", "."]


def rows(count, seed=0):
    """Texts with a good or a bad word among others, and their ratings."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        good = bool(rng.random() < 0.5)
        words = [*rng.choice(FILLERS, 4), "good" if good else "bad"]
        yield {"reply": " ".join(rng.permutation(words)), "rating": 2.0 * good - 1, "domain": "ab"[number % 2], "source": f"s{number}"}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_bert(tmp_path_factory.mktemp("base") / "bert", ["score"])


@pytest.fixture
def ratings(tmp_path):
    file = tmp_path / "ratings.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows(300)))
    return file


@pytest.fixture
def preferences(tmp_path):
    good, bad = ([row for row in rows(400) if (row["rating"] > 0) is wanted] for wanted in (True, False))
    pairs = [{"chosen": a["reply"], "rejected": b["reply"], "source": a["source"]} for a, b in zip(good, bad, strict=False)]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n".join(json.dumps(pair) for pair in pairs))
    return file


def arguments(base, data, out, **more):
    return RewardModelArgs(
        **{"data": str(data), "model": str(base), "epochs": 16, "lr": 3e-3, "max_length": 16, "margin": 0.5, "out": str(out), **more}
    )


@pytest.mark.parametrize("kind", ["preferences", "ratings", "labels"])
def test_ratings_teach_which_word_is_liked(base, ratings, tmp_path, kind):
    out = tmp_path / "out"
    harder = {} if kind == "preferences" else {"epochs": 40, "lr": 6e-3}
    results = command.run(arguments(base, ratings, out, kind=kind, **harder), Console(quiet=True))
    for domain in ("a", "b"):
        found = results["accuracy"][domain]
        assert found["by_scorer"]["ratings.jsonl"]["mean"] > 0.9 and found["gains"]["length"]["low"] > 0.2
    model = TrainedReward(out)
    good, bad = model([exchange("the film was good"), exchange("the film was bad")])
    assert good - bad > 1.0
    if kind != "preferences":  # in the unit of the ratings
        assert (good, bad) == pytest.approx((1, -1), abs=0.5)
    assert AutoModelForSequenceClassification.from_pretrained(out).num_labels == (2 if kind == "labels" else 1)
    assert model.spec.about["heldout_accuracy"]["a"]["mean"] > 0.9 and model.spec.about["calibration_error"] < 0.3
    assert (out / "calibration.png").read_bytes().startswith(b"\x89PNG") and not (out / "training").exists()


def test_given_preferences_are_learnt(base, preferences, tmp_path):
    results = command.run(arguments(base, preferences, tmp_path / "out", name="likes"), Console(quiet=True))
    found = results["accuracy"]["own"]
    assert found["by_scorer"]["likes"]["mean"] > 0.9 and results["calibration"]["unit"] == "of a probability"
    good, bad = TrainedReward(tmp_path / "out")([exchange("the film was good"), exchange("the film was bad")])
    assert good > 0 > bad


def test_what_is_done_is_not_done_again(base, ratings, tmp_path, monkeypatch):
    args = arguments(base, ratings, tmp_path / "out", epochs=1, kind="ratings")
    first = command.run(args, Console(quiet=True))
    monkeypatch.setattr(command, "rating_model", None)
    assert command.run(args, Console(quiet=True)) == first
    (tmp_path / "out" / "results.json").unlink()  # as if killed while testing
    assert command.run(args, Console(quiet=True)) == first
    with pytest.raises(UsageError, match="other arguments .--lr."):
        command.run(arguments(base, ratings, tmp_path / "out", epochs=1, kind="ratings", lr=1.0), Console(quiet=True))


def test_a_killed_training_goes_on_and_ends_the_same(base, ratings, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_SAVE_STEPS", 4)
    whole = command.run(arguments(base, ratings, tmp_path / "whole", epochs=4), Console(quiet=True))
    from transformers import Trainer

    step, steps, seen = Trainer.training_step, [], []

    def killed(self, *arguments, **more):
        steps.append(1)
        if len(steps) == 6:
            raise KeyboardInterrupt
        return step(self, *arguments, **more)

    args = arguments(base, ratings, tmp_path / "cut", epochs=4)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", killed)
        with pytest.raises(KeyboardInterrupt):
            command.run(args, Console(quiet=True))
    half = tmp_path / "cut" / "training" / "checkpoint-999"
    half.mkdir()  # begun, and not complete: its state is missing
    assert trainers.last_checkpoint(half.parent).endswith("checkpoint-4")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "training_step", lambda self, *a, **m: seen.append(1) or step(self, *a, **m))
        again = command.run(args, Console(quiet=True))
    total = -(-again["training"]["pairs"] // 16)
    assert len(seen) == total - 4
    assert again["accuracy"] == whole["accuracy"]
    models = [AutoModelForSequenceClassification.from_pretrained(tmp_path / name) for name in ("whole", "cut")]
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other)


def test_frozen_layers_stay_as_they_are(base, ratings, tmp_path):
    command.run(arguments(base, ratings, tmp_path / "out", epochs=1, frozen_layers=1), Console(quiet=True))
    before, after = (AutoModelForSequenceClassification.from_pretrained(folder).state_dict() for folder in (base, tmp_path / "out"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and not any("embeddings" in name or "layer.0." in name for name in moved)
    assert any("layer.1." in name for name in moved)
    with pytest.raises(ValueError, match="has 2 layers that could be frozen, not 3"):
        training.load(training.Settings(base=str(base), frozen_layers=3), 1)


def test_users_get_one_line(base, ratings, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    given = ["reward-model", "--data", str(ratings), "--model", str(base)]
    for more, message in (
        (["--out", str(tmp_path / "full")], "is not empty"),
        (["--out", str(tmp_path / "a"), "--epochs", "0"], "--epochs must be at least 1"),
        (["--out", str(tmp_path / "b"), "--margin", "9"], "no two texts of a domain differ by 9"),
        (["--out", str(tmp_path / "c"), "--data", str(tmp_path / "none.csv")], "can't read"),
        (["--out", str(tmp_path / "d"), "--data", "file.txt"], "neither a .csv nor a .jsonl"),
    ):
        assert main([*given, *more]) == 2
        shown = capsys.readouterr().err
        assert message in shown and len(shown.strip().splitlines()) == 1
