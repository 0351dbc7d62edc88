"""Any sequence classifier of Hugging Face as a reward model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from lm_envs.rewards.hugging_face import HuggingFaceModel
from lm_envs.rewards.numbers import finite
from lm_envs.types import Exchange

Text = str | tuple[str, str]

_OUTPUTS = ("probability", "logit", "expected")
_TEXTS: dict[str, Callable[[Exchange], Text]] = {
    "reply": lambda exchange: exchange.reply,
    "pair": lambda exchange: (exchange.messages[-2]["content"] if len(exchange.messages) > 1 else "", exchange.reply),
}


class HFClassifier(HuggingFaceModel):
    """A score by a sequence classifier, in one padded forward pass for each ``batch_size`` exchanges.

    With p the softmax over the labels' logits z (for a multi-label model, and for one with a single output, the sigmoid of
    each), the reward is

    - ``output="probability"``: ``p[label]``, in [0, 1];
    - ``output="logit"``: ``z[label]``, unbounded; what regression heads and preference models are trained for;
    - ``output="expected"``: ``Σ values[label] · p[label]`` over all labels, within the range of ``values``.

    Dropout is off, so a score depends on its exchange alone, up to the rounding that padding causes (about 1e-6 in float32). Text
    that spells a control token, such as ``[SEP]``, is read as ordinary text.

        HFClassifier("distilbert-base-uncased-finetuned-sst-2-english", label="POSITIVE")
        HFClassifier("some/reward-model", text="pair")                          # one output: its logit
        HFClassifier("some/five-stars", output="expected", values={"1 star": -1, "2 stars": -0.5, ...})

    Args:
        model: a local folder, or a name on the model hub.
        label: a label's name in the model's configuration, or its position. A model with a single output needs none.
        output: ``"probability"``, ``"logit"`` or ``"expected"``; by default ``"logit"`` for a single output, else
            ``"probability"``.
        values: for ``"expected"``: a number for every label, by name or position.
        text: what is judged: ``"reply"``, ``"pair"`` (the message before the reply, and the reply, as the model's two texts), or
            a function from an exchange to one text or two.
        max_length: tokens that are read, the rest is cut; by default what the model takes, at most 512.
        batch_size: exchanges in one forward pass.
        device: a device of torch; by default CUDA where there is some, else the CPU.
        dtype: ``"float32"``, ``"bfloat16"`` or ``"float16"``.
        name: the name it is reported under.

    Raises:
        ImportError: without torch.
        ValueError: for an unknown label, output or text, values that don't fit the labels, or a tokenizer that can't pad.
        OSError: when there is no such model.

    A pickled classifier holds these arguments, not the weights: it is loaded again where it is unpickled.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        label: str | int | None = None,
        output: Literal["probability", "logit", "expected"] | None = None,
        values: Mapping[str | int, float] | None = None,
        text: Literal["reply", "pair"] | Callable[[Exchange], Text] = "reply",
        max_length: int | None = None,
        batch_size: int = 32,
        device: str | None = None,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        name: str = "classifier",
    ) -> None:
        super().__init__(locals())
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        if not callable(text) and text not in _TEXTS:
            raise ValueError(f"text must be one of {', '.join(map(repr, _TEXTS))} or a function; got {text!r}")
        self._text = text if callable(text) else _TEXTS[text]
        self._tokenizer = AutoTokenizer.from_pretrained(model)
        self._model = AutoModelForSequenceClassification.from_pretrained(model, dtype=self._dtype).to(self.device).eval()
        config = self._model.config
        self._read_output(config, label, output, values)
        self.max_length = max_length or min(512, self._tokenizer.model_max_length, getattr(config, "max_position_embeddings", 512))
        if self._tokenizer.pad_token is None:
            if self._tokenizer.eos_token is None:
                raise ValueError(f"reward model {name!r}: the tokenizer of {model} has neither a pad token nor an end token to pad with")
            self._tokenizer.pad_token = self._tokenizer.eos_token
        if config.pad_token_id is None:  # decoders look for the last token that isn't padding
            config.pad_token_id = self._tokenizer.pad_token_id

    def __call__(self, exchanges: Sequence[Exchange], /) -> Any:
        """Scores, a float32 tensor on the CPU, ``(len(exchanges),)``."""
        import torch

        texts = [self._text(exchange) for exchange in exchanges]
        batches = [texts[start : start + self.batch_size] for start in range(0, len(texts), self.batch_size)]
        with torch.inference_mode():
            return torch.cat([self._scores(self._logits(batch)) for batch in batches]).cpu()

    def _logits(self, texts: list[Text]) -> Any:  # (len(texts), num_labels), float32
        first, second = ([t[0] for t in texts], [t[1] for t in texts]) if isinstance(texts[0], tuple) else (texts, None)
        inputs = self._tokenizer(
            first,
            second,
            padding=True,
            truncation=True,
            max_length=self.max_length,
            split_special_tokens=True,
            return_tensors="pt",
        )
        return self._model(**inputs.to(self.device)).logits.float()

    def _scores(self, logits: Any) -> Any:  # (batch,)
        if self.output == "logit":
            return logits[:, self._label]
        probabilities = logits.sigmoid() if self._independent else logits.softmax(-1)
        if self.output == "probability":
            return probabilities[:, self._label]
        return probabilities @ probabilities.new_tensor(self._values)

    def _read_output(self, config: Any, label: str | int | None, output: str | None, values: Mapping[str | int, float] | None) -> None:
        labels = {int(index): text for index, text in config.id2label.items()}
        single = len(labels) == 1
        self._independent = single or config.problem_type == "multi_label_classification"
        self.output = output or ("logit" if single else "probability")
        if self.output not in _OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(map(repr, _OUTPUTS))}; got {output!r}")
        if (self.output == "expected") != (values is not None):
            raise ValueError(f"reward model {self.name!r}: values are needed for output='expected', and only there")
        if values is not None:
            chosen = {_index(labels, key, self.name): finite(f"the value of {key}", value) for key, value in values.items()}
            if missing := labels.keys() - chosen.keys():
                raise ValueError(f"reward model {self.name!r}: no value for {', '.join(labels[index] for index in sorted(missing))}")
            self._values = [chosen[index] for index in sorted(chosen)]
        elif label is None and not single:
            raise ValueError(f"reward model {self.name!r} needs a label; labels: {_listed(labels)}")
        else:
            self._label = 0 if label is None else _index(labels, label, self.name)


def _index(labels: Mapping[int, str], label: str | int, name: str) -> int:
    for index, text in labels.items():
        if label == text or (label == index and not isinstance(label, bool)):
            return index
    raise ValueError(f"reward model {name!r} has no label {label!r}; labels: {_listed(labels)}")


def _listed(labels: Mapping[int, str]) -> str:
    return ", ".join(f"{text!r} ({index})" for index, text in sorted(labels.items()))
