"""Listen, and say where."""

import socket
from collections.abc import Callable

from adelt import settings
from adelt.engine import open_ledger
from adelt.errors import AdeltError, InputError
from adelt.serve.hosts import is_loopback
from adelt.settings import Settings

TOKEN = "ADELT_SERVE_TOKEN"
_SHORTEST = 16


def serve(here: Settings, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve the ledger until SIGINT or SIGTERM.

    Args:
        here: Settings: whose ledger.
        host: Address to listen on; other than loopback, a token in ADELT_SERVE_TOKEN is needed.
        port: Port; 0 picks a free one.
        ready: Called with the URL when requests are answered.

    Raises:
        InputError: There is no token where one is needed, or it is too short.
        AdeltError: The address cannot be listened on.
    """
    import uvicorn

    from adelt.serve.app import make_app

    token = _token(host)
    open_ledger(here)  # made, or brought up to date; from here on it is only read
    listening = _listen(host, port)
    name = f"[{host}]" if ":" in host else host
    app = make_app(here.ledger, here.home / "logs", token)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off")
    with listening:
        ready(f"http://{name}:{listening.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listening])


def _token(host: str) -> str:
    token = settings.secret(TOKEN).strip()
    if not token and not is_loopback(host):
        raise InputError(
            "the run history is not shown to other machines without a token",
            where=f"--host {host}",
            fix=f'export {TOKEN}="$(openssl rand -hex 32)", or leave --host out',
        )
    if token and (len(token) < _SHORTEST or not token.isascii()):
        raise InputError(
            f"the token is shorter than {_SHORTEST} characters, or not ASCII",
            where=TOKEN,
            fix=f'export {TOKEN}="$(openssl rand -hex 32)"',
        )
    return token


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise AdeltError(
            f"cannot listen: {getattr(error, 'strerror', None) or error}",
            where=f"{host}:{port}",
            fix="choose another --port or --host",
        ) from error
    return listening
