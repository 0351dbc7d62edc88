"""Other voices for the customer: a local causal LM, or an endpoint that speaks the chat-completions protocol.

    SimulatedCustomer(scenario, rng, voice=EndpointVoice("http://localhost:8000/v1", "my-model"))

A voice only finds words. What is said, what is true and when it ends stays with the agenda: a text that leaves out a detail that is to
be given, doesn't name the request, talks like a clerk, or holds an order number, an e-mail address or a sum that it wasn't given is
dropped for the templates' words. Sampled voices make episodes differ from run to run; the agenda's course stays a function of the
seed and of the agent's replies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from lm_envs.rewards.hugging_face import causal_lm

MAX_CHARS = 600  # of what a voice says
SHOWN = 6  # messages of the conversation that a voice is shown

_NUMBER = re.compile(r"\d{3,}|\d+\.\d\d")
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}")
_PREFIX = re.compile(r'^[\s"]*(?:you|customer|user|me|message)\s*:\s*', re.I)
_CLERK = re.compile(
    r"\bdraft\b|help you|assist you|here to help|chatbot|language model|\bas an ai\b|customer service|for your (?:order|patience)"
)
_SPOKEN = ("order", "name", "email", "postcode", "item", "variant", "address", "payment")  # whose values must appear as they are

_STEMS = {
    "status": ("order", "parcel", "deliver", "package", "where"),
    "late": ("late", "delay", "overdue", "wait", "arriv", "yet"),
    "lost": ("lost", "missing", "never", "arriv", "disappear"),
    "cancel": ("cancel", "call off", "stop the order"),
    "return": ("return", "send", "back"),
    "exchange": ("exchang", "replac", "swap", "another", "different", "new one"),
    "refund": ("refund", "money", "reimburs", "repa"),
    "damaged": ("damag", "broke", "crack", "smash", "shatter", "pieces"),
    "wrong": ("wrong", "instead", "different", "not what", "mix"),
    "address": ("address", "deliver", "sent to"),
    "payment": ("pay", "card", "account"),
    "billing": ("charge", "bill", "statement", "amount"),
    "warranty": ("warrant", "guarant", "fault", "defect", "broke", "work"),
    "loyalty": ("point", "tier", "level", "loyal"),
    "ticket": ("ticket", "look into", "check", "report", "investigat", "complain"),
    "handover": ("person", "someone", "somebody", "colleague", "manager", "human"),
}
"""What a request must hold one of, by intent or operation; where the draft holds none of them either, and for other acts, it must share
a longer word with the draft."""

_COURTESIES = frozenset(
    "hello there please thanks thank cheers regards sincerely morning afternoon evening would could should kindly".split()
)


@runtime_checkable
class Voice(Protocol):
    """Words for what a customer has decided to say."""

    def say(
        self, acts: Sequence[str], slots: Mapping[str, str], history: Sequence[tuple[str, str]], persona: Mapping[str, Any], draft: str
    ) -> str:
        """A message.

        Args:
            acts: what it is made of; names of acts in `data/wording`.
            slots: details that it must give.
            history: what was said so far, as (``"agent"`` or ``"customer"``, text).
            persona: who speaks.
            draft: the same message in the templates' words.

        Returns:
            The text; ``""`` leaves it at the draft.
        """
        ...


def checked(text: str, slots: Mapping[str, str], draft: str, acts: Sequence[str] = ()) -> str:
    """A voice's text if it says what the draft says, as far as that can be told from its words; else the draft.

    Args:
        text: what the voice made of it.
        slots: details that must be in it.
        draft: what is to be said.
        acts: what that is made of: a request must be named, a yes must not begin with a no, and a customer doesn't offer help.
    """
    text = _PREFIX.sub("", " ".join(text[: 4 * MAX_CHARS].split()))[:MAX_CHARS].strip(' "')
    low = text.lower()
    needed = [slots[slot].lower() for slot in _SPOKEN if slots.get(slot) and slots[slot].lower() in draft.lower()]
    numbers, emails = set(_NUMBER.findall(draft)), set(_EMAIL.findall(draft.lower()))
    honest = numbers.issuperset(_NUMBER.findall(text)) and emails.issuperset(_EMAIL.findall(low)) and not _CLERK.search(low)
    complete = all(value in low for value in needed) and all(_means(low, act, draft) for act in acts)
    return text if text and honest and complete else draft


def _means(low: str, act: str, draft: str) -> bool:
    """Whether a text may mean an act."""
    group, _, what = act.partition("/")
    if group in ("state", "wish", "attack") or what in ("problem", "evidence"):
        stems = _STEMS.get(what.partition("_")[0], ()) if group != "attack" else ()
        if not any(stem in draft.lower() for stem in stems):  # "Would you annul my order?"
            stems = tuple(word for word in re.findall(r"[a-z]{5,}", draft.lower()) if word not in _COURTESIES)
        return not stems or any(stem in low for stem in stems)
    if act in ("agree", "yes"):
        return not re.match(r"no\b|don't\b|i don't\b", low)
    return act != "decline" or bool(re.search(r"\bno\b|\bnot\b|n't\b|rather|instead", low))


def instructions(persona: Mapping[str, Any]) -> str:
    """The system message for a model that speaks for a customer."""
    length = {"short": "one short sentence", "normal": "one or two sentences", "long": "three or four sentences"}[persona["verbosity"]]
    return (
        f"You are a customer writing to a shop's service desk. Your manner is {persona['register']}. "
        f"Say what the draft says in your own words, in {length}. Keep every number, name and address exactly as it is. "
        "Add no facts. Answer with the message alone."
    )


def request(history: Sequence[tuple[str, str]], draft: str) -> str:
    """The user message: the conversation's end, and what is to be said."""
    lines = [f"{'Clerk' if who == 'agent' else 'You'}: {text[:MAX_CHARS]}" for who, text in history[-SHOWN:]]
    return "\n".join([*lines, f"Draft of your next message: {draft}"])


class EndpointVoice:
    """A model behind an endpoint that speaks the chat-completions protocol.

    Args:
        url: the protocol's root, such as ``"http://localhost:8000/v1"``.
        model: the model's name there.
        temperature: of sampling.
        endpoint: further arguments of :class:`lm_envs.endpoint.ChatEndpoint`: the key, the timeout, retries, limits.

    Raises:
        ValueError: for a URL that isn't http or https, or another argument that makes no sense.
    """

    def __init__(self, url: str, model: str, *, temperature: float = 0.7, **endpoint: Any) -> None:
        from lm_envs.endpoint import ChatEndpoint  # brings a library for HTTP, which others don't need

        self._endpoint = ChatEndpoint(url, model, **{"retries": 2, **endpoint})
        self._temperature = temperature

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._endpoint.url!r}, {self._endpoint.model!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> EndpointVoice:
        return self  # it has no state, and keys aren't copied about

    def say(
        self, acts: Sequence[str], slots: Mapping[str, str], history: Sequence[tuple[str, str]], persona: Mapping[str, Any], draft: str
    ) -> str:
        """Ask the endpoint; see :class:`Voice`.

        Raises:
            ConnectionError: when it can't be reached, or answers with an error or with something else than the protocol's, to the last
                attempt. The message names the endpoint and no key.
            BudgetSpent: when there is a budget, and it is spent.
        """
        body = {
            "messages": [
                {"role": "system", "content": instructions(persona)},
                {"role": "user", "content": request(history, draft)},
            ],
            "temperature": self._temperature,
            "max_tokens": 120,
        }
        return self._endpoint.complete(body).content


class LocalVoice:
    """A causal LM on this machine, by `transformers` and PyTorch, which are imported and loaded at the first message.

    Args:
        model: a path, a name on the hub, or a name of ``lm_envs.assets``.
        device: where it runs.
        max_new_tokens: the longest message.
        dtype: of the weights, such as ``"bfloat16"``; by default the model's own.
    """

    def __init__(self, model: str, *, device: str = "cpu", max_new_tokens: int = 60, dtype: str = "auto") -> None:
        self._name = model
        self._device = device
        self._dtype = dtype
        self._max_new_tokens = max_new_tokens
        self._loaded: tuple[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> LocalVoice:
        return self  # weights aren't copied about

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_loaded": None}

    def say(
        self, acts: Sequence[str], slots: Mapping[str, str], history: Sequence[tuple[str, str]], persona: Mapping[str, Any], draft: str
    ) -> str:
        """Let the model write, greedily; see :class:`Voice`."""
        tokenizer, model = self._load()
        system, user = instructions(persona), request(history, draft)
        if getattr(tokenizer, "chat_template", None):
            messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
            prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        else:
            prompt = f"{system}\n{user}\nYou:"
        inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).to(self._device)
        written = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            do_sample=False,
            max_new_tokens=self._max_new_tokens,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
        text: str = tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return text.strip().partition("\n")[0]

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            self._loaded = causal_lm(self._name, self._dtype, self._device)
        return self._loaded
