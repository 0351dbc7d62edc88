"""A reward model that was trained on what people said, as `python -m agents reward-model` saves it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from lm_envs.rewards.classifier import HFClassifier
from lm_envs.rewards.hugging_face import HuggingFaceModel
from lm_envs.rewards.numbers import finite
from lm_envs.types import Exchange

FILE = "reward.json"
FORMAT = 1

HEADS = ("preference", "regression", "label")
READS: Mapping[str, Callable[[Exchange], str]] = {
    "reply": lambda exchange: exchange.reply,
    "conversation": lambda exchange: conversation(exchange),
}


def conversation(exchange: Exchange) -> str:
    """What user and assistant said, a line a message: ``user: …``, ``assistant: …``."""
    said = (message for message in exchange.messages if message["role"] in ("user", "assistant"))
    return "\n".join(f"{message['role']}: {message['content']}" for message in said)


@dataclass(frozen=True)
class RewardSpec:
    """What `reward.json` says of the model beside it.

    Attributes:
        head: ``"preference"``: one output, a Bradley-Terry logit; ``"regression"``: one output, a rating; ``"label"``: logits of labels.
        name: under which it is reported.
        reads: ``"reply"`` or ``"conversation"``.
        scale: of the calibrated score ``scale * raw + offset``.
        offset: of the calibrated score.
        max_length: tokens that are read.
        values: with ``"label"``: a number for each label, in their order.
        about: how it was trained and how well it did on held-out data; for readers.
    """

    head: str
    name: str
    reads: str = "reply"
    scale: float = 1.0
    offset: float = 0.0
    max_length: int = 128
    values: tuple[float, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value, known in (("head", self.head, HEADS), ("reads", self.reads, tuple(READS))):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}; got {value!r}")
        if not isinstance(self.name, str) or not self.name:
            raise ValueError("a reward model needs a name")
        if not isinstance(self.max_length, int) or self.max_length < 1:
            raise ValueError(f"max_length must be at least 1; got {self.max_length!r}")
        for name, number in (("scale", self.scale), ("offset", self.offset), *(("a label's value", value) for value in self.values)):
            finite(name, number)
        if self.scale <= 0:
            raise ValueError(f"scale must be above 0, else it turns the order round; got {self.scale!r}")
        if (self.head == "label") != bool(self.values):
            raise ValueError("values are needed for the head 'label', and only there")

    def save(self, folder: Path) -> None:
        """Write it beside the model."""
        (folder / FILE).write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> RewardSpec:
        """Read it.

        Raises:
            OSError: when there is none.
            ValueError: when it isn't one; the message says why.
        """
        try:
            data = json.loads((folder / FILE).read_text(encoding="utf-8"))
            if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
                raise ValueError(f"expected an object of format {FORMAT}")
            return cls(**{**data, "values": tuple(data.get("values", ()))})
        except (ValueError, TypeError, RecursionError) as error:  # JSON's and UTF-8's errors are ValueErrors
            raise ValueError(f"{folder / FILE} doesn't describe a reward model: {error}") from error


def is_trained(folder: str | Path) -> bool:
    """Whether a folder holds a trained reward model."""
    try:
        return (Path(folder) / FILE).is_file()
    except (OSError, ValueError):  # no path at all: too long, or with a null character
        return False


def shared(folder: str | Path) -> TrainedReward:
    """The reward model of a folder, the same for all who ask until another is saved there."""
    place = Path(folder).resolve()
    return _loaded(place, (place / FILE).stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _loaded(folder: Path, _saved: int) -> TrainedReward:
    return TrainedReward(folder)


class TrainedReward(HuggingFaceModel):
    """The calibrated score of a reward model trained on ratings, labels or preferences of people.

    ``reward = scale · raw + offset`` of the folder's ``reward.json``, where raw is

    - ``head: "preference"``: the logit z of a Bradley-Terry model. Calibrated, σ(difference of two rewards) is the probability that people
      prefer the one to the other, and the mean over the calibration texts is 0 (R. A. Bradley and M. E. Terry, Biometrika 39, 1952);
    - ``head: "regression"``: a predicted rating; calibrated, in the unit of the ratings;
    - ``head: "label"``: ``Σ values[label] · p[label]``, an expected rating; calibrated likewise.

    The range isn't bounded; on texts like those it was trained on, it is that of the ratings. Scores are only as good off these: what a
    policy finds to please it may be far away from them.

        reward = TrainedReward("runs/reward-model")
        gym.make("lm_envs/Sentiment-v0", target="positive", reward=reward)        # or reward="runs/reward-model"

    Args:
        folder: that ``python -m agents reward-model`` wrote: ``AutoModelForSequenceClassification`` loads it too.
        batch_size: exchanges in one forward pass.
        device: a device of torch; by default CUDA where there is some, else the CPU.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        name: the name it is reported under; by default the one in the folder.

    Raises:
        ImportError: without torch.
        OSError: when there is no such folder.
        ValueError: when it doesn't describe a reward model, or its labels don't fit its values.

    A pickled one holds these arguments, not the weights.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        batch_size: int = 32,
        device: str | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        name: str | None = None,
    ) -> None:
        self.spec = RewardSpec.load(Path(folder))
        arguments = {"folder": folder, "batch_size": batch_size, "device": device, "dtype": dtype, "name": name or self.spec.name}
        super().__init__(arguments)
        kind: dict[str, Any] = {"output": "logit"}
        if self.spec.head == "label":
            kind = {"output": "expected", "values": dict(enumerate(self.spec.values))}
        self._raw = HFClassifier(
            folder,
            text=READS[self.spec.reads],
            max_length=self.spec.max_length,
            batch_size=batch_size,
            device=device,
            dtype=dtype,
            name=self.name,
            **kind,
        )

    def raw(self, exchanges: Sequence[Exchange]) -> list[float]:
        """Scores before calibration, ``(len(exchanges),)``."""
        order = sorted(range(len(exchanges)), key=lambda row: len(READS[self.spec.reads](exchanges[row])))  # little padding
        scores = [0.0] * len(exchanges)
        if exchanges:
            for row, score in zip(order, self._raw([exchanges[row] for row in order]).tolist(), strict=True):
                scores[row] = score
        return scores

    def __call__(self, exchanges: Sequence[Exchange], /) -> list[float]:
        """Calibrated scores, ``(len(exchanges),)``."""
        return [self.spec.scale * score + self.spec.offset for score in self.raw(exchanges)]
