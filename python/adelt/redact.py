"""Keep secrets out of logs and messages."""

import re
from collections.abc import Iterable, Iterator
from typing import TextIO
from urllib.parse import quote, quote_plus, unquote, urlsplit

HIDDEN = "***"

_SHAPES = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
    r"|(?<=Bearer )[A-Za-z0-9._~+/=-]{8,}"
    r"|\bya29\.[A-Za-z0-9._-]{8,}",
    re.DOTALL,
)


class Redactor:
    """Replaces known secrets, and what looks like a token or a private key, by `***`."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Remember the secrets.

        Args:
            secrets: Their values; each line of a value of several lines counts too, and the password of a URL.
        """
        values = {face for secret in secrets for face in _faces(secret) if len(face.strip()) > 3}
        longest_first = sorted(values, key=lambda value: (-len(value), value))
        self._known = re.compile("|".join(map(_pattern, longest_first))) if values else None

    def clean(self, text: str) -> str:
        """The text without secrets."""
        if self._known:
            text = self._known.sub(HIDDEN, text)
        return _SHAPES.sub(HIDDEN, text)


def password_of(url: str) -> str:
    """The password in a URL, as it is written there; empty if there is none."""
    try:
        return (urlsplit(url).password or "") if "://" in url else ""
    except ValueError:  # no URL after all
        return ""


def _faces(secret: str) -> Iterator[str]:
    """The ways in which a secret is written: it, its lines, the password in it, and each of them as in a URL."""
    password = password_of(secret)
    for part in {secret, *secret.splitlines(), password, unquote(password)}:
        yield part
        for encoded in (quote(part), quote(part, safe=""), quote_plus(part)):
            yield encoded
            yield re.sub("%..", lambda found: found[0].lower(), encoded)


def _pattern(value: str) -> str:
    """A number is a secret as a whole: other numbers may have the same digits in them."""
    return rf"(?<!\d){value}(?!\d)" if re.fullmatch("[0-9]+", value) else re.escape(value)


class CleanStream:
    """A text stream that cleans whole lines and writes them to others."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, redactor: Redactor, *sinks: TextIO) -> None:
        """Write to `sinks` what `redactor` leaves."""
        self._redactor, self._sinks, self._rest = redactor, sinks, ""

    def write(self, text: str) -> int:
        """Take text; complete lines go out."""
        whole, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._put(whole + newline)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Take several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Pass on what is complete; half a line waits, because a secret may be cut in it."""
        for sink in self._sinks:
            sink.flush()

    def finish(self) -> None:
        """Write what is left."""
        if self._rest:
            self._put(self._rest)
            self._rest = ""
        self.flush()

    def isatty(self) -> bool:
        """Never a terminal: no colours, no cursor movements."""
        return False

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The first sink's descriptor."""
        return self._sinks[0].fileno()

    def _put(self, text: str) -> None:
        clean = self._redactor.clean(text)
        for sink in self._sinks:
            sink.write(clean)
            sink.flush()
