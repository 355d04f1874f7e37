"""Keep a short-lived process from importing what it does not use.

pyarrow and dlt import pandas and numpy as soon as they see that they are installed (dbt brings them): more than a second,
half of what a small task costs. `sys.modules["pandas"] = None` does not help, because pyarrow then asks it for its version.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# What an ingest never uses, although it is installed for others.
UNUSED = ("pandas", "numpy", "sqlalchemy", "IPython")


class _Absent(MetaPathFinder):
    def __init__(self, names: Sequence[str]) -> None:
        self._names = set(names)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - the signature of the protocol
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in self._names:
            raise ModuleNotFoundError(f"No module named {fullname!r} (kept out to start fast)", name=fullname)
        return None


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Make the named packages look absent; those imported already stay."""
    finder = _Absent(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
