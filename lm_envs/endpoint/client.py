"""`ChatEndpoint`: one server, asked many things at a time, within limits."""

from __future__ import annotations

import hashlib
import json
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from lm_envs.endpoint.answer import Answer
from lm_envs.endpoint.cache import AnswerCache
from lm_envs.endpoint.limits import Budget, RateLimit
from lm_envs.rewards.numbers import finite

MAX_BYTES = 4_000_000  # of an answer

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0  # seconds between attempts
_SHOWN_CHARS = 300  # of what a server says of an error
_CHARS_A_TOKEN = 3  # fewer than there are in most text, so that reservations are rather too high
_ANSWER_TOKENS = 1024  # reserved for an answer whose length the request doesn't limit
_PASSING = (408, 409, 425, 429)  # beside those from 500
_LASTING = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.InvalidHeader)

Accept = Callable[[Answer], bool]


class EndpointError(ConnectionError):
    """A server can't be reached, or answers with an error or something else than the protocol's, to the last attempt.

    Attributes:
        status: the HTTP status of the last attempt; ``None`` where there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ChatEndpoint:
    """A model behind a server that speaks the chat-completions protocol.

    Failures that may pass (no connection, no whole answer in time, an answer that isn't the protocol's, the statuses 408, 409, 425, 429 and
    those from 500) are tried again after 0.5, 1, 2, … seconds, at most 60, half of it drawn at random; where the server says in
    ``Retry-After`` how long it wants, all requests wait that long. Redirects aren't followed, since they would carry the key elsewhere.

    Args:
        url: the protocol's root, such as ``"http://localhost:8000/v1"``.
        model: the model's name there.
        key: sent as a bearer token; never shown.
        key_variable: the environment variable that holds the key, read when a request is sent. Unlike ``key`` it can be written
            into a file of settings.
        timeout: seconds for connecting, for each wait for the server, and for the whole answer.
        retries: further attempts after a failure that may pass.
        concurrency: requests under way at the same time.
        requests_per_minute: attempts that may begin in a minute, evenly spread; ``None`` for no limit.
        token_budget: tokens that this object may use, of prompts and answers together; ``None`` for no limit. Before a request is sent, a
            third of its characters and the longest answer are set aside; what the server says was used replaces that.
        cost_budget: money that this object may use, in the unit of ``prices``.
        prices: of a million tokens of prompts, and of a million tokens of answers.
        cache: a file that keeps accepted answers, see :class:`AnswerCache`; ``None`` keeps none.

    Raises:
        ValueError: for a URL that isn't plain http or https, or another argument that makes no sense.
        OSError: when the cache can't be opened.

    Copies of it share its limits; a pickled one begins with a budget of its own.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key: str | None = None,
        key_variable: str | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        concurrency: int = 8,
        requests_per_minute: float | None = None,
        token_budget: int | None = None,
        cost_budget: float | None = None,
        prices: Sequence[float] = (0.0, 0.0),
        cache: str | Path | None = None,
    ) -> None:
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url must begin with http:// or https://; got {url!r}")
        if "@" in urlsplit(url).netloc:
            raise ValueError("url must not hold a name and a password; the key has an argument of its own")
        if key is not None and key_variable is not None:
            raise ValueError("either key or key_variable")
        if finite("timeout", timeout) <= 0 or retries < 0 or concurrency < 1:
            raise ValueError(
                f"timeout must be more than 0, retries at least 0, concurrency at least 1; got {timeout!r}, {retries!r}, {concurrency!r}"
            )
        if len(prices) != 2:
            raise ValueError(f"prices must be two numbers, of prompts' and of answers' tokens; got {prices!r}")
        self.url = f"{url.rstrip('/')}/chat/completions"
        self.model = model
        self._key = _checked_key(key) if key else None
        self._key_variable = key_variable
        self._timeout = float(timeout)
        self._retries = retries
        self._concurrency = concurrency
        self.rate = RateLimit(requests_per_minute)
        self.budget = Budget(token_budget, cost_budget, (prices[0], prices[1]))
        self.cache = None if cache is None else AnswerCache(cache)
        self._idle: list[requests.Session] = []  # each is used by one thread at a time, and keeps its connection
        self._random = random.Random()  # of waits alone

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r}, {self.model!r})"

    def __copy__(self) -> ChatEndpoint:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> ChatEndpoint:
        return self  # keys aren't copied about, and limits are for all copies together

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._arguments,)

    def complete(self, body: Mapping[str, Any], accept: Accept = lambda answer: True) -> Answer:
        """One answer, from the cache where it has it.

        Args:
            body: the request's, without the model's name.
            accept: whether an answer may be kept in the cache.

        Raises:
            EndpointError: see there. The message names the server and no key.
            BudgetSpent: before a request that might cost more than what is left.
        """
        body = {"model": self.model, **body}
        key = hashlib.sha256(json.dumps([self.url, body], sort_keys=True).encode()).hexdigest()
        if self.cache is not None and (kept := self.cache.get(key)) is not None:
            return kept
        answer = self._ask(json.dumps(body).encode(), body)
        if self.cache is not None and accept(answer):
            self.cache.put(key, answer)
        return answer

    def complete_all(self, bodies: Sequence[Mapping[str, Any]], accept: Accept = lambda answer: True) -> list[Answer]:
        """Answers to many requests, some at a time; equal ones are sent once.

        Raises:
            EndpointError: as :meth:`complete`, for the first that fails; those not yet sent aren't sent, and the answers that came are in
                the cache.
            BudgetSpent: likewise.
        """
        written = [json.dumps(body, sort_keys=True) for body in bodies]
        different = dict(zip(written, bodies, strict=True))
        if len(different) <= 1 or self._concurrency == 1:
            answers = {text: self.complete(body, accept) for text, body in different.items()}
            return [answers[text] for text in written]
        with ThreadPoolExecutor(min(self._concurrency, len(different)), thread_name_prefix="endpoint") as pool:
            try:
                futures = {text: pool.submit(self.complete, body, accept) for text, body in different.items()}
                done, _ = wait(futures.values(), return_when=FIRST_EXCEPTION)
                for future in futures.values():
                    if future in done:
                        future.result()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        return [futures[text].result() for text in written]

    def _ask(self, sent: bytes, body: Mapping[str, Any]) -> Answer:
        key = self._current_key()
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or _ANSWER_TOKENS
        prompt = -(-len(sent.decode()) // _CHARS_A_TOKEN)
        problem, status = "", None
        for attempt in range(self._retries + 1):
            reserved = self.budget.reserve(prompt, int(limit))
            usage: tuple[int, int] | None = (0, 0)
            status = wanted = None
            try:
                self.rate.wait()
                usage = None  # what is sent may have to be paid for, whether or not an answer arrives
                status, wanted, read = self._post(sent, key)
                if status == 200:
                    answer = Answer.read(json.loads(read))
                    usage = answer.usage
                    return answer
                usage = (0, 0)
                problem = f"status {status}{_quoted(read, key)}"
                if status < 500 and status not in _PASSING:
                    raise EndpointError(f"{self.url}: {problem}", status)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                problem = type(error).__name__  # its text may hold what was sent
                if isinstance(error, _LASTING):
                    raise EndpointError(f"{self.url}: {problem}") from None
                if _never_sent(error):
                    usage = (0, 0)
            except (ValueError, RecursionError) as error:
                problem = str(error) if type(error) is ValueError else "the answer is not JSON"
            except TimeoutError as error:
                problem = str(error)
            finally:
                self.budget.settle(reserved, usage)
            if attempt < self._retries:
                self._wait(attempt, wanted)
        raise EndpointError(f"{self.url}: {problem} ({self._retries + 1} attempts)", status)

    def _post(self, sent: bytes, key: str | None) -> tuple[int, str | None, bytes]:
        """Status, ``Retry-After`` and body of one attempt."""
        ends = time.monotonic() + self._timeout
        try:
            session = self._idle.pop()
        except IndexError:
            session = requests.Session()
        try:
            response = session.post(
                self.url,
                data=sent,
                headers={"Content-Type": "application/json"},
                auth=_Bearer(key),
                timeout=self._timeout,
                stream=True,
                allow_redirects=False,
            )
            with response:
                read = bytearray()
                while piece := response.raw.read1(65_536, decode_content=True):  # what there is: servers may send a byte now and then
                    read += piece
                    if len(read) > MAX_BYTES:
                        raise ValueError(f"the answer is longer than {MAX_BYTES:,} bytes")
                    if time.monotonic() > ends:
                        raise TimeoutError(f"no whole answer in {self._timeout:g} s")
        except BaseException:
            session.close()
            raise
        self._idle.append(session)
        return response.status_code, response.headers.get("Retry-After"), bytes(read)

    def _wait(self, attempt: int, wanted: str | None) -> None:
        seconds = min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)
        if (asked := _retry_after(wanted)) is not None:
            self.rate.pause(min(asked, _LONGEST_WAIT))
        time.sleep(seconds * self._random.uniform(0.5, 1.0))

    def _current_key(self) -> str | None:
        if self._key_variable is None:
            return self._key
        if not (key := os.environ.get(self._key_variable)):
            raise ValueError(f"the environment variable {self._key_variable} that should hold the key is not set")
        return _checked_key(key)


class _Bearer(requests.auth.AuthBase):
    """Sets the header itself; without it, `requests` would look for another key in ``~/.netrc``."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _quoted(read: bytes, key: str | None) -> str:
    """What a server says of an error, short, escaped, and without the key, which some repeat."""
    try:
        text = str(json.loads(read)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        text = read.decode("utf-8", "replace")
    text = " ".join((text.replace(key, "***") if key else text).split())
    return f": {ascii(text[:_SHOWN_CHARS])}" if text else ""


def _never_sent(error: Exception) -> bool:
    """Whether no connection was made."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(error, requests.exceptions.ConnectTimeout) or isinstance(reason, urllib3.exceptions.NewConnectionError)


def _checked_key(key: str) -> str:
    key = key.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the key must be printable ASCII without spaces")
    return key


def _retry_after(value: str | None) -> float | None:
    """Seconds of a ``Retry-After`` header, which holds seconds or a date; ``None`` where it says nothing usable."""
    if value is None:
        return None
    try:
        seconds = float(value) if value.strip().replace(".", "", 1).isdigit() else parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds)


def _again(arguments: dict[str, Any]) -> ChatEndpoint:
    return ChatEndpoint(**arguments)
