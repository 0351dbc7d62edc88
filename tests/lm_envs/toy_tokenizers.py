"""Small tokenizers of the three common kinds, made on the spot."""

from __future__ import annotations

from functools import cache

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

CORPUS = [
    "system user assistant tool hello there, how are you today? I am fine, thank you.",
    "The order number is 4411. Thanks! What is your name? It's me.\nUser: hi\nAssistant: hello\n",
    "späte Größe, naïve café; 今日は 🙂 🙃 مرحبا",
] * 4

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def _byte_level() -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"], show_progress=False
    )
    backend.train_from_iterator(CORPUS, trainer)
    return backend


@cache
def gpt2() -> PreTrainedTokenizerFast:
    """Byte-level, no chat template, no pad token, as GPT-2."""
    return PreTrainedTokenizerFast(tokenizer_object=_byte_level(), eos_token="<|endoftext|>", bos_token="<|endoftext|>")


def chatml(template: str = CHATML, **kwargs: str) -> PreTrainedTokenizerFast:
    """Byte-level with control tokens, a non-special added ``<tool_call>`` and an added run of spaces."""
    backend = _byte_level()
    backend.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|pad|>"])
    backend.add_tokens(
        [AddedToken(text, special=False, normalized=False) for text in ("<tool_call>", "</tool_call>", "<think>", "</think>", "    ")]
    )
    kwargs = {"eos_token": "<|im_end|>", "bos_token": "<|endoftext|>", "pad_token": "<|pad|>"} | kwargs
    return PreTrainedTokenizerFast(tokenizer_object=backend, chat_template=template, **kwargs)


LLAMA = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)


@cache
def llama() -> PreTrainedTokenizerFast:
    """Unigram with byte fallback and metaspace, its control tokens also in the model's own vocabulary, as SentencePiece has them."""
    letters = sorted({char for text in CORPUS for char in text if ord(char) < 256 and char not in " \n"})
    words = sorted({"▁" + word for text in CORPUS for word in text.split() if word.isascii()})
    vocab = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0)]
    vocab += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    vocab += (
        [("▁", -3.0), ("[INST]", -1.0), ("▁▁", -4.0)]
        + [(word, -6.0) for word in words]
        + [(char, -8.0) for char in letters + list("<>/[]")]
    )
    vocab = list(dict(vocab).items())
    backend = Tokenizer(models.Unigram(vocab, unk_id=0, byte_fallback=True))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    backend.add_special_tokens(["<unk>", "<s>", "</s>"])
    backend.add_tokens([AddedToken("[INST]", special=False, normalized=False)])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=LLAMA)
