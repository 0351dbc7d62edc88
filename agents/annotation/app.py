"""The page's server: three fixed files, and three requests that read and keep judgements. It listens on this machine alone.

Texts of pairs and names are untrusted: they travel as JSON and are shown by ``textContent``; a content security policy forbids whatever
isn't the page's own. What another web site makes a browser send is refused: by the ``Host`` header (DNS rebinding) and by ``Origin``
(forged requests).
"""

from __future__ import annotations

import logging
import select
from collections.abc import Mapping
from importlib.resources import files
from types import TracebackType
from typing import Any, get_args

from flask import Flask, Response, abort, request
from waitress import wasyncore
from waitress.server import create_server
from werkzeug.exceptions import HTTPException

from agents.annotation.log import annotator_name, is_seconds
from agents.annotation.report import report
from agents.annotation.study import Answer, Conflict, State, Study

MAX_BODY = 4096
ADDRESS = "127.0.0.1"

_HOSTS = ["127.0.0.1", "localhost"]
_FILES = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css"), "/page.js": ("page.js", "text/javascript")}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_log = logging.getLogger(__name__)


def make_app(study: Study) -> Flask:
    """The application of a study."""
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY, TRUSTED_HOSTS=_HOSTS)
    app.json.ensure_ascii = False  # type: ignore[attr-defined]
    for path, (name, kind) in _FILES.items():
        app.add_url_rule(path, name, _file(name, kind))

    @app.before_request
    def refuse_other_sites() -> None:
        request.host  # noqa: B018  # raises for a host that isn't trusted
        if request.method not in ("GET", "HEAD") and request.headers.get("Origin") != request.host_url.rstrip("/"):
            abort(403, "Only this page may send requests.")

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers.extend(_HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def in_words(error: HTTPException) -> tuple[dict[str, Any], int]:
        return {"error": error.description or error.name}, error.code or 500

    @app.errorhandler(Conflict)
    def conflict(error: Conflict) -> tuple[dict[str, Any], int]:
        return {"error": str(error)}, 409

    @app.errorhandler(OSError)
    def not_kept(error: OSError) -> tuple[dict[str, Any], int]:
        _log.error("not saved: %s", error)
        return {"error": f"Not saved: {error.strerror or 'the file could not be written'}."}, 507

    @app.post("/state")
    def state() -> dict[str, Any]:
        name = _name(_body({"annotator"}))
        return _shown(study, name, study.state(name))

    @app.post("/judge")
    def judge() -> dict[str, Any]:
        body = _body({"annotator", "pair", "answer", "seconds"})
        name, pair, answer = _name(body), body["pair"], body["answer"]
        if answer not in get_args(Answer) or not is_seconds(body["seconds"]):
            abort(400, "This is no judgement.")
        if not isinstance(pair, str) or pair not in study.pairs:
            abort(404, "There is no such pair.")
        return _shown(study, name, study.judge(name, pair, answer, float(body["seconds"])))

    @app.post("/undo")
    def undo() -> dict[str, Any]:
        name = _name(_body({"annotator"}))
        now, answer = study.undo(name)
        return {**_shown(study, name, now), "undone": answer}

    return app


def _file(name: str, kind: str) -> Any:
    text = files("agents.annotation").joinpath("page").joinpath(name).read_text(encoding="utf-8")
    return lambda: Response(text, content_type=f"{kind}; charset=utf-8")


def _body(fields: set[str]) -> Mapping[str, Any]:
    """The request's JSON object, with these fields and no others."""
    try:
        body = request.get_json()  # a body of another content type is refused
    except RecursionError:
        abort(400, "The request is nested too deeply.")
    if not isinstance(body, dict) or set(body) != fields:
        abort(400, f"A request has {', '.join(sorted(fields))}.")
    return body


def _name(body: Mapping[str, Any]) -> str:
    if not isinstance(body["annotator"], str):
        abort(400, "A name is text.")
    try:
        return annotator_name(body["annotator"])
    except ValueError as error:
        abort(400, f"Please choose another name: {error}.")


def _shown(study: Study, name: str, state: State) -> dict[str, Any]:
    """What the page needs; it doesn't learn which reply is a."""
    pair, shown = state.pair, None
    if pair is not None:
        left, right = (pair.a, pair.b) if state.side == "a" else (pair.b, pair.a)
        shown = {"id": pair.id, "prompt": pair.prompt, "left": left, "right": right}
    return {
        "annotator": name,
        "done": state.done,
        "total": state.done + state.left,
        "pair": shown,
        "can_undo": state.can_undo,
        "summary": _summary(study) if pair is None else None,
    }


def _summary(study: Study) -> dict[str, Any]:
    """For the end: who did how much on which side, and how far they agree; not which model is ahead, since more judgements may come."""
    found = report(study.judgements())
    people = [
        {
            "name": one.name,
            "left": one.left,
            "right": one.choices["a"] + one.choices["b"] - one.left,
            "tie": one.choices["tie"],
            "skip": one.choices["skip"],
            "seconds": one.seconds,
        }
        for one in found.annotators
    ]
    return {"annotators": people, "agreement": [{"names": [one.first, one.second], **vars(one.kappa)} for one in found.agreement]}


class Server:
    """A study served on this machine's loopback address.

    Args:
        study: what is asked.
        port: to listen on; 0 for any that is free.

    Attributes:
        url: of the page.

    Raises:
        OSError: when the port is taken.
    """

    def __init__(self, study: Study, port: int = 0) -> None:
        self._server = create_server(
            make_app(study),
            host=ADDRESS,
            port=port,
            threads=4,
            ident=None,
            max_request_body_size=4 * MAX_BODY,
            max_request_header_size=32_768,
            connection_limit=100,
            channel_timeout=60,
            clear_untrusted_proxy_headers=True,
            asyncore_use_poll=hasattr(select, "poll"),  # which another thread may close the sockets of
        )
        self.url = f"http://{ADDRESS}:{self._server.effective_port}/"

    def run(self) -> None:
        """Serve until the process is interrupted or :meth:`close` is called."""
        self._server.run()

    def close(self) -> None:
        """Stop listening."""
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._server._map)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
