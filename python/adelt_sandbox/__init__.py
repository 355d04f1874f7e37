"""A local server that speaks the Google advertising APIs over a seeded world.

    python -m adelt_sandbox --port 8765 --now 2026-01-06T06:00:00Z

starts one; in tests, `with adelt_sandbox.running() as sandbox:` does.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adelt_sandbox.server import Running, running, serve

__all__ = ["Running", "running", "serve"]


def __getattr__(name: str) -> Any:
    # Imported late: the server pulls in pyarrow and uvicorn, which a command line's --help can do without.
    if name in __all__:
        from adelt_sandbox import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
