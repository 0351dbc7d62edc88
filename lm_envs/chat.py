r"""`ChatFormat`: messages as token ids that only ever grow.

    fmt = ChatFormat(tokenizer)
    ids = fmt.open(messages)                    # ... <|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n
    ids += [hello, <|im_end|>]                  # what the agent samples
    ids += fmt.close(<|im_end|>, answers)       # \n<|im_start|>user\n...<|im_end|>\n<|im_start|>assistant\n

Chat templates render whole conversations, and many rewrite history when a turn is added: they drop earlier thinking, move the
system prompt, keep the last messages only. So a template is asked, once, what it writes *between* two messages, by renderings of
short conversations whose contents are sentinels. These links are encoded apart from the contents, with control tokens
recognised; the contents, which anyone may have written, are encoded so that they hold none.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, models
from typing_extensions import Self

from lm_envs.pieces import PIECES
from lm_envs.spaces import well_formed
from lm_envs.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_START, _GENERATION = "start", "generation"  # beside the roles: the ends of a link that are no message

# A conversation that shows each link. The assistant's is always shown after a user's message, as strict templates want it.
_CONTEXTS: dict[tuple[str, str], tuple[str, ...]] = {
    (_START, "system"): ("system", "user"),
    (_START, "user"): ("user",),
    ("system", "user"): ("system", "user"),
    ("user", "user"): ("user", "user"),
    ("user", "tool"): ("user", "assistant", "user", "tool"),
    ("assistant", "user"): ("user", "assistant", "user"),
    ("assistant", "tool"): ("user", "assistant", "tool"),
    ("tool", "user"): ("user", "assistant", "tool", "user"),
    ("tool", "tool"): ("user", "assistant", "tool", "tool"),
    ("system", _GENERATION): ("system",),
    ("user", _GENERATION): ("user",),
    ("assistant", _GENERATION): ("user", "assistant"),
    ("tool", _GENERATION): ("user", "assistant", "tool"),
}
_REQUIRED = ((_START, "user"), ("user", _GENERATION), ("assistant", "user"))

# Shadows the function by which templates ask for today's date: prompts must not depend on the day.
_FROZEN_DATE = (
    "{% macro strftime_now(format) %}{{ format | replace('%d', '26') | replace('%b', 'Jul') | replace('%B', 'July') | replace('%m', '07')"
    " | replace('%Y', '2024') | replace('%y', '24') | replace('%A', 'Friday') | replace('%a', 'Fri') | replace('%H', '12')"
    " | replace('%I', '12') | replace('%M', '00') | replace('%S', '00') | replace('%p', 'PM') }}{% endmacro %}"
)

_NO_PREFIX_SPACE: dict[str, dict[str, Any]] = {"Metaspace": {"prepend_scheme": "never"}, "ByteLevel": {"add_prefix_space": False}}
_CACHED_STRINGS, _CACHED_CHARS = 4096, 1024  # openings, or at least their lines, come back every few hundred episodes


_LINES = re.compile("(?<=[!-~]\n)(?=[!-~])")  # where lines begin, but for those beside white space, which may be one with the line feed
_WORDS = re.compile("(?<=[!-~])(?= [a-z][!-?A-~]*(?![^ \n]))")  # where small words begin, with their space, but for those that hold an @


@dataclass(frozen=True)
class _Link:
    """What stands between two contents: ids, the tool's name where the template shows one, ids."""

    ids: tuple[int, ...]
    after_name: tuple[int, ...] | None = None  # None: the template shows no name
    spaced: bool = False  # the link's last character is a space, which is encoded with the content that follows


class ChatFormat:
    """How a tokenizer's chat template writes a conversation, piece by piece.

    The generation prompt stands before every assistant message, so that replies already written stay as they were sampled. A
    system message that the template refuses opens the first user message; a tool message that it refuses becomes a user
    message with the tool's name in front; messages that it refuses to have in a row are joined.

    Args:
        tokenizer: a fast tokenizer of ``transformers``.
        plain: write ``System:``, ``User:`` and ``Assistant:`` lines; always so for a tokenizer without chat template.
        template_kwargs: passed to the chat template, for example ``{"enable_thinking": False}``.

    Attributes:
        vocab_size: number of ids, ``len(tokenizer)``; where the ids have holes, the highest id plus 1.
        stop_ids: ids that end a reply.
        forbidden_ids: ids below ``vocab_size`` that no reply may hold: special and control tokens other than stops, and holes.
        pad_id: the pad token's id, or 0 for a tokenizer that has none.

    Raises:
        TypeError: for a tokenizer that isn't a fast one.
        ValueError: when nothing can end a reply, or the chat template can't be taken apart.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, *, plain: bool = False, template_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise TypeError(f"ChatFormat needs a fast tokenizer of transformers, got {type(tokenizer).__name__}")
        self.tokenizer = tokenizer
        self.plain = plain or not tokenizer.chat_template
        self._template_kwargs = dict(template_kwargs or {})
        self._text_cache: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        texts, tail = self._plain_texts() if self.plain else self._template_texts()
        with _uncut(backend):
            self._read_vocabulary(backend)
            self._links = {pair: self._encode_link(text, first=pair[0] == _START) for pair, text in texts.items()}
            self._tail = self._encode_link(tail).ids  # what ends an assistant's message when nothing follows
        self._spaced_replies = self._links["user", _GENERATION].spaced

        ends = [end for end in (self._find_turn_end(), backend.token_to_id(tokenizer.eos_token or "")) if end is not None]
        if not ends:
            raise ValueError(
                "the tokenizer has no end token, so nothing can end a reply: it has no eos_token, and its chat format has no token that "
                "ends a turn; set tokenizer.eos_token to a token of its vocabulary"
            )
        self.stop_ids = frozenset(ends)
        self._reply_end = ends[0]
        self.forbidden_ids = frozenset(self._find_forbidden()) - self.stop_ids
        self._newline_stops = any(self._decode_run([stop]) == "\n" for stop in self.stop_ids)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: nothing that can be seen ever changes, and copying a vocabulary takes seconds."""
        return self

    # What environments call.

    def open(self, messages: Sequence[Message]) -> list[int]:
        """The ids of an opening, ending with the assistant's generation prompt.

        Raises:
            ValueError: when there is no message.
        """
        if not messages:
            raise ValueError("a conversation opens with at least one message")
        return self._write(_START, messages, prompt=True)

    def close(self, stop: int | None, messages: Sequence[Message], *, prompt: bool | None = None) -> list[int]:
        """The ids that follow a reply: the rest of its end, the messages that answer it, the generation prompt.

        Args:
            stop: the stop id that the reply ended with; ``None`` when it was cut, so that its end must be written.
            messages: the answers; may be empty.
            prompt: whether another reply follows. By default when there are messages.
        """
        prompt = bool(messages) if prompt is None else prompt
        if messages or prompt:
            return self._write("assistant", messages, prompt=prompt, written=stop)
        return list(_after(stop, self._tail))

    def encode_reply(self, text: str) -> list[int]:
        """A reply as ids, ending with a stop id. Where a line feed is a stop id, those of the text become spaces."""
        if self._newline_stops:
            text = " ".join(text.splitlines())
        return [*self._encode_text(text, spaced=self._spaced_replies), self._reply_end]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a reply's ids, its stop id left out. Added tokens show as they are spelled, cut characters as U+FFFD."""
        pieces: list[str] = []
        run: list[int] = []
        for token in map(int, ids):
            if token in self._added:
                pieces += [self._decode_run(run), self._added[token]]
                run = []
            elif 0 <= token < self.vocab_size:
                run.append(token)
        text = "".join([*pieces, self._decode_run(run)])
        return text[1:] if self._spaced_replies and text.startswith(" ") else text

    # Conversations.

    def _write(self, previous: str, messages: Sequence[Message], *, prompt: bool, written: int | None = None) -> list[int]:
        ids: list[int] = []
        for role, content, name in self._turns(previous, messages):
            link = self._links[previous, _GENERATION if role == "assistant" else role]
            ids += _after(written, link.ids)
            written = None
            if link.after_name is not None:
                ids += self._encode_text(name)
                ids += link.after_name
            ids += self._encode_text(content, spaced=link.spaced)
            previous = role
        if prompt:
            ids += _after(written, self._links[previous, _GENERATION].ids)
        return ids

    def _turns(self, previous: str, messages: Sequence[Message]) -> list[tuple[str, str, str]]:
        """The messages as the template takes them, as role, content and name: in an order for which there are links."""
        turns: list[tuple[str, str, str]] = []
        folding = False  # the last turn is a refused system message, which the user's next message goes on
        for position, message in enumerate(messages):
            role: str = message["role"]
            content, name = message["content"], message.get("name", "")
            if role == "assistant" and previous == _START:
                turns.append(("user", "", ""))  # templates know no assistant that speaks first
                previous = "user"
            refused = not self._follows(previous, role)
            if role == "system" and not refused:
                after = next((later["role"] for later in messages[position + 1 :] if later["role"] != "system"), "assistant")
                refused = after == "assistant" and not self._follows("system", after)
            if refused and role == "tool":
                content = f"{name}: {content}"
            joined = (folding and role in ("system", "user")) or (refused and role == previous)
            if refused and not joined:
                folding = role == "system" and previous == _START
                role = "user"
                joined = not self._follows(previous, role)
            if joined:
                turns[-1] = (turns[-1][0], f"{turns[-1][1]}\n\n{content}", turns[-1][2])
            else:
                turns.append((role, content, name))
                previous = role
            folding = folding and message["role"] == "system"
        return turns

    def _follows(self, previous: str, role: str) -> bool:
        return (previous, _GENERATION if role == "assistant" else role) in self._links

    # Links.

    def _plain_texts(self) -> tuple[dict[tuple[str, str], str], str]:
        labels = {"system": "System: ", "user": "User: ", _GENERATION: "Assistant: "}
        texts = {pair: ("" if pair[0] == _START else "\n") + labels[pair[1]] for pair in _CONTEXTS if "tool" not in pair}
        return texts, "\n"

    def _template_texts(self) -> tuple[dict[tuple[str, str], str], str]:
        """The text of each link that the template has, and of the end of an assistant's message."""
        template = _Template(self.tokenizer, self._template_kwargs)
        texts: dict[tuple[str, str], str] = {}
        for pair, context in _CONTEXTS.items():
            text = template.prompt(context) if pair[1] == _GENERATION else template.link(context, pair)
            if text is not None:
                texts[pair] = text
            elif pair in _REQUIRED:
                raise ValueError(
                    f"the tokenizer's chat template can't be used: a conversation of these messages ({', '.join(context)}) "
                    f"{template.trouble}; plain=True writes conversations without the template"
                )
        tail = template.tail(("user", "assistant")) or ""
        texts.setdefault(("assistant", _GENERATION), tail)
        if template.link(("user", "assistant"), ("user", "assistant")) == texts["user", _GENERATION] + " ":
            texts |= {pair: text + " " for pair, text in texts.items() if pair[1] == _GENERATION}
        if (_START, "system") not in texts or ("system", "user") not in texts:
            texts = {pair: text for pair, text in texts.items() if "system" not in pair}
        if ("assistant", "tool") not in texts or ("tool", _GENERATION) not in texts:
            texts = {pair: text for pair, text in texts.items() if "tool" not in pair}
        return texts, tail

    def _encode_link(self, text: str, *, first: bool = False) -> _Link:
        before, *after = text.removesuffix(" ").split(_NAME)
        begin = self._begin if first and self.plain else ()
        return _Link(
            begin + self._encode_trusted(before, first=first), self._encode_trusted(after[0]) if after else None, text.endswith(" ")
        )

    def _encode_trusted(self, text: str, *, first: bool = False) -> tuple[int, ...]:
        """Ids with control tokens recognised. A space that the tokenizer puts before any text belongs at the beginning alone."""
        control = 0 if first else next((found.start() for found in self._spellings.finditer(text)), len(text))
        return (
            *self._untrusted.encode(text[:control], add_special_tokens=False).ids,
            *self.tokenizer.backend_tokenizer.encode(text[control:], add_special_tokens=False).ids,
        )

    def _find_turn_end(self) -> int | None:
        """The id by which the assistant ends a turn, if the format has one."""
        if self.plain:
            return self._tail[0] if len(self._tail) == 1 else None
        # A template that marks only where turns begin ends a reply with the first token of the next turn.
        ends = (*filter(self._is_control, self._tail), *filter(self._is_control, self._links["assistant", "user"].ids[:1]))
        return ends[0] if ends else None

    # Ids.

    def _read_vocabulary(self, backend: Tokenizer) -> None:
        added = self.tokenizer.added_tokens_decoder
        vocabulary = backend.get_vocab(with_added_tokens=True)
        self.vocab_size = max(len(self.tokenizer), 1 + max(vocabulary.values(), default=0))
        self._holes = set(range(self.vocab_size)) - set(vocabulary.values())
        self._added = {int(token): str(entry.content) for token, entry in added.items()}
        self._special = {token for token, entry in added.items() if entry.special} | set(self.tokenizer.all_special_ids)
        self._spellings = re.compile("|".join(map(re.escape, self._added.values())) or "(?!)")
        self.pad_id = vocabulary.get(self.tokenizer.pad_token, 0)
        self._begin = _begin_ids(backend)
        self._untrusted = _without_added_tokens(backend)
        self._by_parts = _parts_texts(self._untrusted)
        # Text that spells a token which stands for what has no encoding of its own, the unknown token or a byte, is cut in two.
        model: Any = backend.model
        if isinstance(model, models.Unigram):
            facts = json.loads(model.__getstate__())
            unknown, bytes_spelled = (
                next((piece for piece, token in vocabulary.items() if token == facts["unk_id"]), ""),
                facts["byte_fallback"],
            )
        else:
            unknown, bytes_spelled = getattr(model, "unk_token", None) or "", getattr(model, "byte_fallback", False)
        self._unknown = vocabulary.get(unknown)
        spellings = [f"(?<={re.escape(unknown[:1])})(?={re.escape(unknown[1:])})"] * (len(unknown) > 1)
        spellings += ["(?<=<)(?=0x[0-9A-F]{2}>)"] * bool(bytes_spelled)
        self._stand_ins = re.compile("|".join(spellings) or "(?!)")
        self._anchor = self._untrusted.encode("a").ids
        self._anchor = self._anchor if self._untrusted.decode(self._anchor) == "a" else []

    def _is_control(self, token: int) -> bool:
        return token in self._special or bool(self._added.get(token, "").strip())

    def _find_forbidden(self) -> Iterator[int]:
        yield from (token for token in self._special if token < self.vocab_size)
        for link in self._links.values():
            yield from filter(self._is_control, (*link.ids, *(link.after_name or ())))
        yield from filter(self._is_control, self._tail)
        yield from self._holes

    # Text.

    def _encode_text(self, text: str, *, spaced: bool = False) -> tuple[int, ...]:
        text = f" {text}" if spaced else text
        if (ids := self._text_cache.get(text)) is not None:
            self._text_cache.move_to_end(text)
            return ids
        if self._by_parts and len(lines := _LINES.split(text)) > 1:
            return tuple(chain.from_iterable(map(self._encode_text, lines)))
        if self._by_parts and len(words := _WORDS.split(text)) > 1:
            return self._remembered(text, tuple(chain.from_iterable(map(self._encode_text, words))))
        whole = well_formed(text)
        ids = tuple(self._untrusted.encode(whole, add_special_tokens=False).ids)
        if not self._added.keys().isdisjoint(ids) or self._stand_ins.search(whole):
            ids = tuple(self._encode_untrusted(whole))
        return self._remembered(text, ids)

    def _remembered(self, text: str, ids: tuple[int, ...]) -> tuple[int, ...]:
        if len(text) <= _CACHED_CHARS:
            self._text_cache[text] = ids
            if len(self._text_cache) > _CACHED_STRINGS:
                self._text_cache.popitem(last=False)
        return ids

    def _encode_untrusted(self, text: str) -> Iterator[int]:
        """Ids of a text, none of an added token, whatever the text spells.

        The encoder knows no added tokens, but some are in the model's vocabulary as well: then the text is cut inside the
        spelling. A single character that spells a control token has no other encoding and is replaced.
        """
        pending = self._stand_ins.split(text)[::-1]
        while pending:
            piece = pending.pop()
            encoding = self._untrusted.encode(piece, add_special_tokens=False)
            added = [
                (token, *span)
                for token, span in zip(encoding.ids, encoding.offsets, strict=True)
                if token in self._added and token != self._unknown
            ]
            cuts = sorted({start + 1 for _, start, end in added if end - start > 1})
            if cuts:
                edges = [0, *cuts, len(piece)]
                pending += [piece[start:end] for start, end in zip(edges, edges[1:], strict=False)][::-1]
                continue
            spelled = {start for token, start, _ in added if token in self._special}
            cured = "".join("\ufffd" if place in spelled else char for place, char in enumerate(piece)) if spelled else piece
            if cured != piece:
                pending.append(cured)
            else:
                yield from encoding.ids

    def _decode_run(self, ids: list[int]) -> str:
        """Text of ids none of which is an added token. The anchor keeps decoders from stripping a space at the beginning."""
        if not ids:
            return ""
        text = self._untrusted.decode([*self._anchor, *ids], skip_special_tokens=False)
        return text[1:] if self._anchor else text


_NAME = "qxNameZ7k"


class _Template:
    """Asks a chat template what it writes around contents."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, kwargs: Mapping[str, Any]) -> None:
        self._tokenizer = tokenizer
        self._kwargs = kwargs
        self.trouble = ""  # why the last question had no answer

    def link(self, roles: tuple[str, ...], pair: tuple[str, str]) -> str | None:
        """The text before the last content whose role is ``pair``'s second, up to the content before it."""
        last = len(roles) - 1 if pair[0] != _START else 0
        pieces = self._pieces(roles)
        return None if pieces is None else pieces[last]

    def tail(self, roles: tuple[str, ...]) -> str | None:
        """The text after the last content."""
        pieces = self._pieces(roles)
        return None if pieces is None else pieces[-1]

    def prompt(self, roles: tuple[str, ...]) -> str | None:
        """The text after the last content when a reply is to follow."""
        pieces = self._pieces(roles, generation=True)
        if pieces is None:
            return None
        if pieces == self._pieces(roles):  # the template has no generation prompt: what it writes before a reply serves
            answered = self._pieces((*roles, "assistant"))
            return answered[-2] if answered else pieces[-1]
        return pieces[-1]

    def _pieces(self, roles: tuple[str, ...], *, generation: bool = False) -> list[str | None] | None:
        """The texts before, between and after the contents, one more than there are messages.

        Of a template that drops the first messages, the pieces around these are ``None``.
        """
        messages = [
            {"role": role, "content": f"qxText{i}Z7k"} | ({"name": _NAME} if role == "tool" else {}) for i, role in enumerate(roles)
        ]
        try:
            rendered: Any = self._tokenizer.apply_chat_template(
                messages,
                chat_template=_FROZEN_DATE + self._tokenizer.get_chat_template(),
                tokenize=False,
                add_generation_prompt=generation,
                **self._kwargs,
            )
        except Exception as error:  # a template may raise anything
            self.trouble = f"makes it raise {type(error).__name__}: {error}"
            return None
        pieces: list[str] = re.split(r"qxText(\d)Z7k", rendered)
        shown = [int(i) for i in pieces[1::2]]
        dropped = len(roles) - len(shown)
        if not shown or shown != list(range(dropped, len(roles))):
            self.trouble = "doesn't show each content once and in order"
            return None
        self.trouble = "doesn't show all contents"
        around: list[str | None] = [*[None] * dropped, *pieces[::2]]
        if dropped:
            around[dropped] = None
        if any((piece or "").count(_NAME) > (role == "tool") for piece, role in zip(around, (*roles, ""), strict=True)):
            self.trouble = "shows a tool's name elsewhere than before the tool's content"
            return None
        return around


def _after(written: int | None, ids: Sequence[int]) -> Sequence[int]:
    """What is left of ``ids`` when ``written`` has been: all, unless it is among them."""
    return ids[ids.index(written) + 1 :] if written in ids else ids


def _begin_ids(backend: Tokenizer) -> tuple[int, ...]:
    """The control tokens that the tokenizer puts in front of any text."""
    bare = backend.encode("a", add_special_tokens=False).ids
    full = backend.encode("a", add_special_tokens=True).ids
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return tuple(full[:start])
    return ()


def _without_added_tokens(backend: Tokenizer) -> Tokenizer:
    """The same model, which knows no added tokens and puts no space in front of a text."""
    described: dict[str, Any] = {"normalizer": backend.normalizer, "pre_tokenizer": backend.pre_tokenizer}
    parts = {key: _without_prefix_space(part and json.loads(part.__getstate__())) for key, part in described.items()}
    empty = dict.fromkeys(("truncation", "padding", "post_processor", "decoder")) | {"version": "1.0", "added_tokens": []}
    rest = Tokenizer.from_str(json.dumps({**empty, **parts, "model": {"type": "BPE", "vocab": {}, "merges": []}}))
    bare = Tokenizer(backend.model)  # shared, not copied
    bare.normalizer, bare.pre_tokenizer, bare.decoder = rest.normalizer, rest.pre_tokenizer, backend.decoder
    return bare


def _parts_texts(tokenizer: Tokenizer) -> bool:
    """Whether no token spans two lines or goes on into a small word: texts are taken apart first, by a pattern known to see to that.

    These are GPT-2's, with at most digits beside it, and the bundled model's.
    """
    if tokenizer.normalizer is not None or tokenizer.pre_tokenizer is None:
        return False
    described = json.loads(tokenizer.pre_tokenizer.__getstate__())
    *before, last = described["pretokenizers"] if described["type"] == "Sequence" else [described]
    if last["type"] != "ByteLevel":
        return False
    if last["use_regex"]:
        return [part["type"] for part in before] in ([], ["Digits"])
    return before == [{"type": "Split", "pattern": {"Regex": PIECES}, "behavior": "Isolated", "invert": False}]


def _without_prefix_space(part: dict[str, Any] | None) -> dict[str, Any] | None:
    """The description of a normalizer or pre-tokenizer such that it puts no space in front of a text."""
    if part is None or part["type"] == "Prepend":
        return None
    if part["type"] == "Sequence":
        (key,) = {"normalizers", "pretokenizers"} & part.keys()
        return part | {key: [_without_prefix_space(inner) for inner in part[key] if inner["type"] != "Prepend"]}
    return part | _NO_PREFIX_SPACE.get(part["type"], {})


@contextmanager
def _uncut(backend: Tokenizer) -> Iterator[None]:
    """No truncation and no padding, while pieces are encoded."""
    truncation, padding = backend.truncation, backend.padding
    backend.no_truncation()
    backend.no_padding()
    try:
        yield
    finally:
        if truncation is not None:
            backend.enable_truncation(**truncation)
        if padding is not None:
            backend.enable_padding(**padding)
