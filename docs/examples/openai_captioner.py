"""A captioner that asks a model behind an OpenAI-compatible endpoint on this machine, such as llama-server or vLLM.

``--model openai:http://127.0.0.1:8080/v1#NAME`` asks the model NAME; without ``#NAME``, the first that the server lists.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from http.client import HTTPException
from ipaddress import ip_address
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urldefrag, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

from vlm4rec_edge import Captioned, CaptionRequest, Failure, ModelError, UsageError

PROMPT = "Describe this product in one sentence: its kind, style, material and use."
SECONDS = 120
# Past the proxy of the environment, to which photos would go otherwise.
OPENER = build_opener(ProxyHandler({}))


class OpenAICaptioner:
    """Asks one photo after the other; a server that answers several at once is worth a thread pool here."""

    def __init__(self, address: str) -> None:
        self._url, model = urldefrag(address.rstrip("/"))
        if not _is_on_this_machine(self._url):
            raise UsageError(f"{address!r} is no address on this machine, and photos do not leave it.")
        self._model = model or self._ask("models", lambda answer: answer["data"][0]["id"])
        self._settings = {"model": self._model, "temperature": 0, "max_tokens": 96}

    @property
    def identity(self) -> Mapping[str, Any]:
        """Model, prompt and settings; where the server is does not change what it says."""
        return {"name": f"openai:{self._url}#{self._model}", "endpoint": "openai", "prompt": PROMPT, **self._settings}

    def caption(self, photos: Iterable[CaptionRequest]) -> Iterator[Captioned | Failure]:
        """Yield the answer to each photo; one that the server refuses is a failure."""
        for request in photos:
            picture = "data:image/*;base64," + base64.b64encode(request.photo.content).decode()
            content = [{"type": "text", "text": PROMPT}, {"type": "image_url", "image_url": {"url": picture}}]
            try:
                messages = [{"role": "user", "content": content}]
                yield Captioned(request.key, self._ask("chat/completions", _said, messages=messages, **self._settings))
            except HTTPError as error:
                if error.code not in (400, 413, 415, 422):  # these are about the photo, all others about the server
                    raise ModelError(f"{self._url} cannot answer: {error}.") from None
                yield Failure(request.key, "grounding", f"The server refuses this photo: {error}.")

    def _ask(self, what: str, read: Callable[[Any], str], **body: Any) -> str:
        data = json.dumps(body).encode() if body else None
        request = Request(f"{self._url}/{what}", data, {"Content-Type": "application/json"})
        try:
            with OPENER.open(request, timeout=SECONDS) as answer:
                return read(json.load(answer))
        except HTTPError as error:
            if body:
                raise
            raise ModelError(f"{self._url} does not list its models: {error}; give one with #NAME.") from None
        except (OSError, ValueError, LookupError, TypeError, HTTPException) as error:
            raise ModelError(f"{self._url} gives no answer: {error!r}. Is the server running?") from None


def _said(answer: Any) -> str:
    content = answer["choices"][0]["message"]["content"] or ""
    texts = [content] if isinstance(content, str) else [part["text"] for part in content if part["type"] == "text"]
    return " ".join(" ".join(texts).split())


def _is_on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
