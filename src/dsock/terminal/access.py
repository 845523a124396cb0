"""Where the API and the workers are, and what is shown to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from dsock.terminal.failures import Misused

DEFAULT_URL = "http://localhost:6241"


@dataclass(frozen=True, slots=True)
class Access:
    """The API's address without a slash at its end; the token, and where it came from."""

    url: str
    token: str | None = field(repr=False)
    source: str


def access(url: str | None, token_file: str | None, environment: Mapping[str, str]) -> Access:
    """How to reach the API, by flags and environment. Raises `Misused`."""
    name = "--url" if url else "DSOCK_URL"
    parts = _address(name, url or environment.get("DSOCK_URL") or DEFAULT_URL, "http", "https")
    if parts.query:
        raise Misused(f"{name}: an address without a query, please")
    token, source = _token(token_file, environment)
    return Access(_plain(parts), token, source)


def connect_url(url: str | None, environment: Mapping[str, str], api: str) -> str:
    """Where clients connect: as it was said, or `/connect` beside the API. Raises `Misused`."""
    said = url or environment.get("DSOCK_CONNECT_URL")
    if not said:
        return f"ws{api.removeprefix('http')}/connect"
    parts = _address("--connect-url" if url else "DSOCK_CONNECT_URL", said, "ws", "wss")
    return parts._replace(path=parts.path if parts.path.strip("/") else "/connect").geturl()


def secret_in(path: str, name: str) -> str:
    """The secret in a file; `name` is what named the file. Raises `Misused`."""
    try:
        content = Path(path).read_text().strip()
    except OSError as error:
        raise Misused(f"{name}: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Misused(f"{name}: {path} is no text") from None
    if not content:
        raise Misused(f"{name}: {path} is empty")
    return content


def for_header(secret: str, name: str) -> str:
    """The secret, if a header can carry it. Raises `Misused`."""
    if not _sendable(secret):
        raise Misused(f"{name}: only visible ASCII characters can be sent")
    return secret


def _sendable(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text


def _token(path: str | None, environment: Mapping[str, str]) -> tuple[str | None, str]:
    source, text = "", ""
    file, given = environment.get("DSOCK_TOKEN_FILE"), environment.get("DSOCK_TOKEN")
    if path:
        source, text = "--token-file", secret_in(path, "--token-file")
    elif file and given:
        raise Misused("DSOCK_TOKEN and DSOCK_TOKEN_FILE exclude each other")
    elif file:
        source, text = "DSOCK_TOKEN_FILE", secret_in(file, "DSOCK_TOKEN_FILE")
    elif given:
        source, text = "DSOCK_TOKEN", given
    # Two tokens, while one is being replaced: the API takes either.
    tokens = [one.strip() for one in text.split(",") if one.strip()]
    return (for_header(tokens[0], source), source) if tokens else (None, "")


def _address(name: str, text: str, *schemes: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        good = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    # Not repeated: an address may hold a password.
    if not good or not _sendable(text) or parts.fragment:
        raise Misused(f"{name}: not an address such as {schemes[0]}://localhost:6241")
    if parts.username or parts.password:
        raise Misused(f"{name}: no user and password in an address, please")
    return parts


def _plain(parts: SplitResult) -> str:
    return parts._replace(path=parts.path.rstrip("/")).geturl()
