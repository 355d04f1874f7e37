"""What one check says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from adelt.errors import AdeltError
from adelt_sources.errors import SourceError

Status = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Check:
    """What one check says.

    Attributes:
        name: What was checked.
        status: `ok`; `warn`: works, but not all of it, or not for long; `fail`; `skip`: could not be checked.
        detail: What was found.
        fix: What to do about it; empty when all is well.
        may_pass: Whether a failed check may pass when it is run again as it is.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""
    may_pass: bool = False


def told(name: str, check: Callable[[], Check]) -> Check:
    """What a check says; an error that a user can act on fails it.

    Args:
        name: What is checked.
        check: Checks it.
    """
    try:
        return check()
    except (AdeltError, SourceError) as error:
        where = f" ({error.where})" if error.where else ""
        return Check(name, "fail", f"{error.what}{where}", error.fix, may_pass=error.exit_code == 1)


def exit_code(checks: Iterable[Check]) -> int:
    """0 when nothing failed, 2 when something must be set right, 1 when running it again may help."""
    failed = [check for check in checks if check.status == "fail"]
    if not failed:
        return 0
    return 1 if all(check.may_pass for check in failed) else 2
