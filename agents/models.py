"""Causal language models by name, and a description from which one can be built again without its folder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from agents import attention
from lm_envs import assets

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

Dtype = Literal["float32", "bfloat16"]
Attention = Literal["auto", "sdpa", "eager"]

DTYPES: dict[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ATTENTIONS = ("auto", "sdpa", "eager")


@dataclass(frozen=True)
class ModelSpec:
    """An architecture as plain data, and where its first weights come from.

    A pickled spec leaves :attr:`source` out: what is loaded gets its weights from the file it was saved in, so the folder or the
    network of the first day is not needed again.

    Attributes:
        config: the model's configuration as ``PreTrainedConfig.to_dict`` writes it, with every dropout rate at 0.
        dtype: the type of the weights.
        attention: ``"sdpa"``, ``"eager"``, or ``"auto"`` for the first where the model supports it.
        lora: keyword arguments of ``peft.LoraConfig`` (``{}`` for its defaults), or ``None`` to train all weights.
        source: a folder or a hub's name to read weights from; ``None`` gives random ones.
    """

    config: Mapping[str, Any]
    dtype: Dtype = "float32"
    attention: Attention = "auto"
    lora: Mapping[str, Any] | None = None
    source: str | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}; got {self.dtype!r}")
        if self.attention not in ATTENTIONS:
            raise ValueError(f"attention must be one of {', '.join(ATTENTIONS)}; got {self.attention!r}")
        if self.lora is not None and self.lora.get("lora_dropout"):
            raise ValueError("lora_dropout must be 0: with dropout an unchanged policy is not its own old policy")

    @classmethod
    def of(
        cls,
        model: str | Path | PreTrainedModel,
        *,
        dtype: Dtype = "float32",
        attention: Attention = "auto",
        lora: Mapping[str, Any] | None = None,
    ) -> ModelSpec:
        """Describe a model by name (``"tiny"``, ``"smollm2-135m"``), by folder, or by a hub's name.

        A model object gives its architecture alone, without weights.

        Raises:
            FileNotFoundError: when there is no such model.
        """
        if not isinstance(model, (str, Path)):
            return cls(_without_dropout(model.config.to_dict()), dtype, attention, lora)
        source = locate(model)
        try:
            config = AutoConfig.from_pretrained(source)
        except (OSError, ValueError) as error:
            raise _not_found(model, error) from error
        return cls(_without_dropout(config.to_dict()), dtype, attention, lora, source)

    def without_weights(self) -> ModelSpec:
        """The same architecture with no source."""
        return replace(self, source=None)

    def build(self) -> nn.Module:
        """The model in evaluation mode on the CPU: a ``PreTrainedModel``, or a ``PeftModel`` around one.

        Raises:
            ImportError: when ``lora`` is asked for and peft is not installed.
            FileNotFoundError: when the source holds no weights.
        """
        config = AutoConfig.for_model(self.config["model_type"], **{k: v for k, v in self.config.items() if k != "model_type"})
        options = {"attn_implementation": None if self.attention == "auto" else self.attention, "dtype": DTYPES[self.dtype]}
        if self.source is None:
            model = AutoModelForCausalLM.from_config(config, **options)
        else:
            try:
                model = AutoModelForCausalLM.from_pretrained(self.source, config=config, **options)
            except (OSError, ValueError) as error:
                raise _not_found(self.source, error) from error
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return (model if self.lora is None else _with_lora(model, self.lora)).eval()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "source": None}


def load(
    name_or_path: str | Path, *, dtype: Dtype = "float32", device: str | torch.device = "auto"
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal LM and its tokenizer, dropout off, in evaluation mode.

    Args:
        name_or_path: ``"tiny"`` (bundled), ``"smollm2-135m"`` (fetched once), a folder, or a hub's name.
        dtype: the type of the weights.
        device: ``"auto"`` takes CUDA where there is one.

    Raises:
        FileNotFoundError: when there is no such model.
        ValueError: when the model has fewer logits than the tokenizer has tokens.
    """
    spec = ModelSpec.of(name_or_path, dtype=dtype)
    model = spec.build()
    try:
        tokenizer = AutoTokenizer.from_pretrained(spec.source)
    except (OSError, ValueError) as error:
        raise _not_found(name_or_path, error) from error
    check_logits(model, len(tokenizer))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return cast("PreTrainedModel", model.to(device)), tokenizer


def locate(name_or_path: str | Path) -> str:
    """The folder of a named asset; any other name is returned as it is."""
    return str(assets.path(str(name_or_path)) if str(name_or_path) in assets.MODELS else name_or_path)


def causal_lm(model: nn.Module) -> PreTrainedModel:
    """The ``PreTrainedModel`` inside a ``PeftModel``, adapters included; any other model is returned as it is."""
    return cast("PreTrainedModel", cast(Any, model).get_base_model() if hasattr(model, "get_base_model") else model)


def backbone(model: nn.Module) -> nn.Module:
    """The part of a causal LM that maps ids to last hidden states."""
    return causal_lm(model).base_model


def adapter_state(model: nn.Module) -> tuple[Any, ...]:
    """What decides which adapters of a ``PeftModel`` take part."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layer = next(module for module in model.modules() if isinstance(module, BaseTunerLayer))
    return bool(layer.disable_adapters), tuple(layer.active_adapters), bool(layer.merged)


def head(lm: PreTrainedModel, hidden: torch.Tensor) -> torch.Tensor:
    """Logits ``(..., num_logits)`` of last hidden states ``(..., hidden_size)``, as the model's own ``forward`` computes them.

    Some families scale or cap their logits behind the linear layer, under the names read here.
    """
    logits = lm.get_output_embeddings()(hidden)
    config = lm.config
    for name, inverse in (("logit_scale", False), ("lm_head_multiplier", False), ("logits_scaling", True)):
        if (factor := getattr(config, name, None)) is not None:
            logits = logits / factor if inverse else logits * factor
    if (cap := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = cap * torch.tanh(logits / cap)
    return logits


@torch.no_grad()
def check_head(lm: PreTrainedModel) -> None:
    """Raise ``NotImplementedError`` unless :func:`head` gives what the model itself gives."""
    ids = torch.arange(2, 10, device=lm.device)[None] % lm.config.get_text_config().vocab_size
    every = torch.ones_like(ids)
    output = backbone(lm)(input_ids=ids, attention_mask=every, use_cache=False)
    ours, theirs = head(lm, output.last_hidden_state), lm(input_ids=ids, attention_mask=every, use_cache=False).logits
    if ours.shape != theirs.shape or not torch.allclose(ours, theirs, rtol=1e-4, atol=1e-4 if lm.dtype == torch.float32 else 1e-1):
        raise NotImplementedError(f"{type(lm).__name__} computes its logits from the last hidden states in a way that is not known here")


def checkpoint_activations(lm: PreTrainedModel) -> None:
    """Have a model in training keep its layers' inputs alone, and compute what is inside them again in backward.

    Raises:
        ValueError: when the model doesn't support it.
    """
    enable = getattr(lm, "activation_checkpointing_enable", None) or lm.gradient_checkpointing_enable  # the older name
    # Nothing is random in a layer, as dropout is off.
    enable({"use_reentrant": False, "preserve_rng_state": False, "context_fn": partial(attention.now_and_again, lm)})
    lm.disable_input_require_grads()  # enabled along with it for the sake of another kind of checkpointing; costs time with LoRA


def compile_layers(lm: PreTrainedModel, options: Mapping[str, Any]) -> None:
    """Have ``torch.compile`` compile the model's layers, each by itself: they share their code, so that it is compiled once.

    Args:
        lm: the model.
        options: of ``torch.compile``; by default lengths are dynamic.

    Raises:
        ValueError: when the model doesn't say what its layers are.
    """
    layers = [module for module in lm.modules() if type(module).__name__ in (getattr(lm, "_no_split_modules", None) or ())]
    if not layers:
        raise ValueError(f"{type(lm).__name__} doesn't name its layers; it cannot be compiled by them")
    for layer in layers:
        layer.compile(**{"dynamic": True, **options})


def check_logits(model: nn.Module, tokens: int) -> None:
    """Raise ``ValueError`` when the model has fewer logits than there are tokens; more are cut off by the policy."""
    rows = causal_lm(model).get_output_embeddings().weight.shape[0]
    if rows < tokens:
        raise ValueError(
            f"the model has {rows:,} logits and the tokenizer {tokens:,} tokens: this is another model's tokenizer, or the "
            f"model's embeddings were not resized"
        )


def context_limit(config: PreTrainedConfig) -> int | None:
    """The longest text that the model reads; ``None`` when its positions have no limit."""
    limit = getattr(config, "max_position_embeddings", None)
    return None if "dynamic" in _ropes(config) else limit


def stable_context(config: PreTrainedConfig) -> int | None:
    """The longest text whose beginnings the model reads as it reads them alone; ``None`` when there is no limit.

    Dynamic and long rotary embeddings rescale every position once a text passes the original context.
    """
    limits = [
        parameters.get("original_max_position_embeddings")
        or getattr(config, "original_max_position_embeddings", None)
        or config.max_position_embeddings
        for kind, parameters in _ropes(config).items()
        if kind in ("dynamic", "longrope")
    ]
    return min(limits, default=None)


def _ropes(config: PreTrainedConfig) -> dict[str, Mapping[str, Any]]:
    """Parameters of the rotary embeddings by kind; some models have one for each kind of layer."""
    rope = getattr(config, "rope_parameters", None) or {}
    several = (rope, *(value for value in rope.values() if isinstance(value, Mapping)))
    return {parameters["rope_type"]: parameters for parameters in several if "rope_type" in parameters}


def sliding_window(config: PreTrainedConfig) -> int | None:
    """How many tokens back the layers with a sliding window look; ``None`` when there is no such layer."""
    kinds = getattr(config, "layer_types", None)
    has = getattr(config, "use_sliding_window", True) and (kinds is None or "sliding_attention" in kinds)
    return getattr(config, "sliding_window", None) if has else None


def bf16_is_fast(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; without that, autocast is several times slower than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
    return False


def _without_dropout(config: dict[str, Any]) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            clean[key] = _without_dropout(dict(value))
        elif key not in ("_name_or_path", "dtype", "torch_dtype", "transformers_version"):
            clean[key] = 0.0 if "drop" in str(key) and isinstance(value, float) else value
    return clean


def _with_lora(model: PreTrainedModel, lora: Mapping[str, Any]) -> nn.Module:
    try:
        from peft import LoraConfig, get_peft_model
    except ModuleNotFoundError:
        raise ImportError('LoRA needs peft: pip install "lm-envs[lora]"') from None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False")  # peft corrects this for Conv1D layers itself
        return cast(nn.Module, get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **lora)))


def _not_found(model: str | Path, error: Exception) -> FileNotFoundError:
    known = ", ".join(sorted(assets.MODELS))
    return FileNotFoundError(f"no causal LM at {str(model)!r} (known names: {known}; or a folder, or a hub's name): {error}")
