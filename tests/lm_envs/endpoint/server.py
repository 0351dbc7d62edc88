"""A chat-completions server in a process of its own that misbehaves as it is told.

The path's first part is a plan, ``429,500,ok`` for example: what the first, the second and every later request to it gets. ``GET /log``
tells what was asked, ``GET /peak`` how many requests to each plan were under way at a time.
"""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 100, "completion_tokens": 4}


class Running:
    """The server, from the tests' side."""

    def __init__(self, port=0):
        self._process = subprocess.Popen([sys.executable, __file__, str(port)], stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())

    def url(self, plan):
        return f"http://127.0.0.1:{self.port}/{plan}/v1"

    def asked(self, plan):
        """Requests to a plan so far, as (Authorization, body)."""
        return [(key, body) for asked, key, body in self._get("log") if asked == plan]

    def peak(self, plan):
        """How many requests to a plan were under way at a time."""
        return self._get("peak")[plan]

    def ended(self):
        return self._process.wait(timeout=120)

    def stop(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def _get(self, what):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=120) as answer:
            return json.load(answer)


def completion(content, logprobs=None, usage=USAGE):
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "logprobs": logprobs}
    return {"choices": [choice], **({"usage": usage} if usage else {})}


def words(body):
    """How many words the quoted reply has."""
    lines = body["messages"][-1]["content"].splitlines()
    return sum(len(line.split()) - 1 for line in lines if line.startswith("reply|"))


def spread(number):
    """Log-probabilities of an answer "Score: <number>" that leans to the number below."""
    alternatives = [(str(number), -0.5), (str(number - 1), -1.0), (" the", -3.0)]
    top = [{"token": token, "logprob": logprob} for token, logprob in alternatives]
    positions = [{"token": piece, "logprob": -0.1, "top_logprobs": []} for piece in ("Score", ":", " ")]
    return {"content": [*positions, {**top[0], "top_logprobs": top}]}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log, counts, lock, under_way, peak = [], {}, threading.Lock(), {}, {}

    def do_GET(self):
        self.answer(200, Handler.log if self.path == "/log" else Handler.peak)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        plan = self.path.split("/")[1]
        steps = plan.split(",")
        with Handler.lock:
            count = Handler.counts[plan] = Handler.counts.get(plan, 0) + 1
            Handler.log.append((plan, self.headers.get("Authorization"), body))
            Handler.under_way[plan] = Handler.under_way.get(plan, 0) + 1
            Handler.peak[plan] = max(Handler.peak.get(plan, 0), Handler.under_way[plan])
        try:
            self.follow(steps[min(count, len(steps)) - 1], body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        finally:
            with Handler.lock:
                Handler.under_way[plan] -= 1

    def follow(self, step, body):
        score = 1 + words(body) % 5
        if step == "ok":
            self.answer(200, completion(f"Score: {score}"))
        elif step == "slow":
            time.sleep(0.05)
            self.answer(200, completion("ok"))
        elif step == "logprobs":
            self.answer(200, completion(f"Score: {max(2, score)}", spread(max(2, score))))
        elif step == "refuses":
            self.answer(400, {"error": {"message": "logprobs: unknown"}}) if "logprobs" in body else self.answer(200, completion("3"))
        elif step == "chatty":
            self.answer(200, completion("I would rather not say."))
        elif step == "unmetered":
            self.answer(200, completion("ok", usage=None))
        elif step == "null":
            self.answer(200, completion(None))
        elif step == "busy":
            self.answer(429, {}, {"Retry-After": "7"})
        elif step == "echo":
            self.answer(401, {"error": {"message": f"bad key {self.headers.get('Authorization')}\u001b[31m " + "x" * 900}})
        elif step == "elsewhere":
            self.answer(307, {}, {"Location": "/stolen/v1/chat/completions"})
        elif step == "html":
            self.send(200, b"<html>bad gateway</html>")
        elif step == "deep":
            self.send(200, b"[" * 200_000)
        elif step == "huge":
            self.send(200, b" " * 5_000_000)
        elif step == "list":
            self.send(200, b'{"choices": []}')
        elif step == "half":
            whole = json.dumps(completion("ok")).encode()
            self.send(200, whole[: len(whole) // 2], length=len(whole))
            self.close_connection = True
        elif step == "die":
            whole = json.dumps(completion("ok")).encode()
            self.send(200, whole[:20], length=len(whole))
            self.wfile.flush()
            os._exit(3)
        elif step == "hang" or (step == "sometimes" and "hang" in body["messages"][-1]["content"]):
            time.sleep(60)
        elif step == "sometimes":
            self.answer(200, completion("ok"))
        elif step == "dribble":
            self.send(200, b"", length=10_000)
            while True:
                self.wfile.write(b" ")
                self.wfile.flush()
                time.sleep(0.02)
        else:
            self.answer(int(step), {"error": {"message": "as planned"}})

    def answer(self, status, content, headers=()):
        self.send(status, json.dumps(content).encode(), headers=headers)

    def send(self, status, content, length=None, headers=()):
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()
