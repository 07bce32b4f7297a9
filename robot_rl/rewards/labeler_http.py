"""A vision-language model behind ``POST {base_url}/chat/completions``: vLLM, llama.cpp, Ollama or a service.

The key comes from the environment alone and is never written down. Pictures leave this machine only for the host that
was named on purpose.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import random
import socket
import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from robot_rl.core.errors import ConfigError, DeviceError
from robot_rl.rewards.labeler_cache import AnswerCache, cache_key
from robot_rl.rewards.labelers import INSTRUCTION, Budget, Shown, data_uri, read_answer
from robot_rl.rewards.preferences import ERROR, NONSENSE, REFUSED, TIMEOUT, Answer

MAX_ANSWER_BYTES = 2**20
LONGEST_WAIT_S = 60.0
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
FATAL = {401: "does not accept the key", 403: "does not let us in", 404: "knows no such address or model"}


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask.

    Attributes:
        base_url: up to and without ``/chat/completions``, for example ``http://localhost:8000/v1``.
        model: as the server names it.
        key_variable: environment variable that holds the key; it may be unset for a server of one's own.
        send_pictures_to: name of the host that pictures may be sent to; needed for any but this machine.
        timeout_s: for one whole answer.
        retries: how often a question is repeated after a failure that may pass.
        backoff_s: wait before the first repetition, doubled for each further one unless the server says how long.
        parallel: questions at a time.
        max_tokens: of an answer.
    """

    base_url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    send_pictures_to: str = ""
    timeout_s: float = 60.0
    retries: int = 4
    backoff_s: float = 1.0
    parallel: int = 4
    max_tokens: int = 400

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigError: naming what is wrong.
        """
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.username or url.query or url.fragment:
            raise ConfigError(
                f"the address of a labeler is {self.base_url!r}, expected http(s)://HOST[:PORT][/PATH] without a user "
                "or a query, for example http://localhost:8000/v1"
            )
        if not self.model:
            raise ConfigError("a labeler behind an address needs the name of the model: --model NAME")
        if not is_loopback(url.hostname) and self.send_pictures_to != url.hostname:
            raise ConfigError(
                f"pictures of your cell would be sent to {url.hostname}: allow it with --send-pictures-to "
                f"{url.hostname}, or use a server on this machine"
            )
        if os.environ.get(self.key_variable) and url.scheme == "http" and not is_loopback(url.hostname):
            raise ConfigError(
                f"the key in {self.key_variable} would go to {url.hostname} unencrypted: use https, or unset it"
            )
        if not (self.timeout_s > 0 and self.retries >= 0 and self.backoff_s >= 0 and 1 <= self.parallel <= 64):
            raise ConfigError("a labeler needs a positive time-out, retries of 0 or more and 1 to 64 at a time")


def is_loopback(host: str) -> bool:
    """Whether a host's name is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Reply(NamedTuple):
    """What came back: HTTP status, seconds that the server wants us to wait, and the body."""

    status: int
    wait_s: float | None
    body: bytes


class HttpLabeler:
    """Asks an endpoint.

    Args:
        endpoint: where and how.
        cache: of earlier answers, asked first.
        budget: that every call is taken from.
    """

    both_orders = True

    def __init__(self, endpoint: Endpoint, cache: AnswerCache, budget: Budget) -> None:
        self._endpoint, self._cache, self._budget = endpoint, cache, budget
        self._logprobs = True
        self._random = random.Random(0)

    @property
    def name(self) -> str:
        """Model and host."""
        return f"openai:{self._endpoint.model}@{urlsplit(self._endpoint.base_url).hostname}"

    @property
    def parallel(self) -> int:
        """As configured."""
        return self._endpoint.parallel

    def ask(self, shown: Shown) -> Answer:
        """Compare once; a known answer comes from the cache.

        Raises:
            Enough: the budget is spent.
            DeviceError: the server does not let us in, or knows no such model.
        """
        messages = chat(shown)
        key = cache_key(self._endpoint.model, messages)
        known = self._cache.get(key)
        if known is not None:
            return known
        answer = self._ask(messages)
        self._cache.put(key, answer)
        return answer

    def close(self) -> None:
        """Nothing is held: each question has its own connection."""

    def _ask(self, messages: list[dict[str, Any]]) -> Answer:
        began_s = time.monotonic()
        calls, failure = 0, Answer(ERROR)
        for attempt in range(self._endpoint.retries + 1):
            self._budget.take()
            calls += 1
            wait_s = self._endpoint.backoff_s * 2**attempt * self._random.uniform(0.75, 1.25)
            try:
                reply = _post(self._endpoint, self._body(messages))
            except TimeoutError:
                failure = Answer(TIMEOUT, None, f"no answer within {self._endpoint.timeout_s:g} s")
            except (OSError, http.client.HTTPException) as e:
                failure = Answer(ERROR, None, f"{self._endpoint.base_url}: {e or type(e).__name__}")
            else:
                if reply.status == 200:
                    return replace(self._read(reply.body), calls=calls, seconds=time.monotonic() - began_s)
                failure = Answer(ERROR, None, f"HTTP {reply.status}: {_said(reply.body)}")
                if reply.status in FATAL:
                    raise DeviceError(
                        f"{self._endpoint.base_url} {FATAL[reply.status]} (HTTP {reply.status}: {_said(reply.body)}): "
                        f"check --base-url, --model and the environment variable {self._endpoint.key_variable}"
                    )
                if reply.status == 400 and self._logprobs and b"logprob" in reply.body:
                    self._logprobs = False
                    continue
                if reply.status not in AGAIN:
                    break
                wait_s = wait_s if reply.wait_s is None else reply.wait_s
            if attempt < self._endpoint.retries:
                time.sleep(min(wait_s, LONGEST_WAIT_S))
        return replace(failure, calls=calls, seconds=time.monotonic() - began_s)

    def _body(self, messages: list[dict[str, Any]]) -> bytes:
        soft = {"logprobs": True, "top_logprobs": 5} if self._logprobs else {}
        return json.dumps(
            {
                "model": self._endpoint.model,
                "messages": messages,
                "temperature": 0,
                "max_tokens": self._endpoint.max_tokens,
                **soft,
            }
        ).encode()

    def _read(self, body: bytes) -> Answer:
        """The answer in a body of status 200; whatever it is, it is no preference unless it clearly says so."""
        try:
            data = json.loads(body)
            choice = data["choices"][0]
            message = choice["message"]
            usage = data.get("usage") or {}
            tokens = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
            likely = [
                (str(t["token"]), {str(o["token"]): float(o["logprob"]) for o in t.get("top_logprobs") or []})
                for t in (choice.get("logprobs") or {}).get("content") or []
            ]
            text, refusal = message.get("content"), message.get("refusal")
            if not (text is None or isinstance(text, str)):
                raise TypeError("content is no text")
        except (ValueError, KeyError, IndexError, TypeError, AttributeError):
            return Answer(NONSENSE, None, f"no chat completion: {_said(body)}")
        self._budget.spend(*tokens)
        if refusal or choice.get("finish_reason") == "content_filter":
            answer = Answer(REFUSED, None, str(refusal or "content filter")[:200])
        else:
            answer = read_answer(text or "", likely)
        return replace(answer, tokens_in=tokens[0], tokens_out=tokens[1])


def chat(shown: Shown) -> list[dict[str, Any]]:
    """The messages of a question, pictures included."""

    def pictures(clip: tuple[Any, ...]) -> list[dict[str, Any]]:
        return [{"type": "image_url", "image_url": {"url": data_uri(image)}} for image in clip]

    content = [
        {"type": "text", "text": f"A robot is at work. Goal: {shown.goal}\nThe first situation:"},
        *pictures(shown.first),
        {"type": "text", "text": "The second situation:"},
        *pictures(shown.second),
        {"type": "text", "text": INSTRUCTION},
    ]
    return [{"role": "user", "content": content}]


def _post(endpoint: Endpoint, body: bytes) -> Reply:
    """One request on its own connection; redirects are not followed, so that pictures go where they were sent.

    Raises:
        TimeoutError: the whole answer was not there in time.
        OSError: the network refuses.
        http.client.HTTPException: this is not HTTP.
    """
    url = urlsplit(endpoint.base_url)
    deadline_s = time.monotonic() + endpoint.timeout_s
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(url.hostname), url.port, timeout=endpoint.timeout_s)
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get(endpoint.key_variable):
        headers["Authorization"] = f"Bearer {key}"
    try:
        connection.request("POST", f"{url.path.rstrip('/')}/chat/completions", body, headers)
        link = connection.sock
        response = connection.getresponse()
        wait = response.getheader("Retry-After", "")
        parts: list[bytes] = []
        while sum(map(len, parts)) <= MAX_ANSWER_BYTES:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            if isinstance(link, socket.socket) and link.fileno() >= 0:
                link.settimeout(left_s)
            part = response.read1(65536)
            if not part:
                return Reply(response.status, float(wait) if wait.isdecimal() else None, b"".join(parts))
            parts.append(part)
        raise http.client.HTTPException(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    finally:
        connection.close()


def _said(body: bytes) -> str:
    return " ".join(body[:200].decode("utf-8", "replace").split()) or "nothing"
