"""Errors of a source: what happened, where, and what to do next."""

from typing import Any


class SourceError(Exception):
    """A problem the user can act on; nothing was loaded when it is raised.

    Attributes:
        what: What happened, in one sentence.
        where: The table, window, file or request it happened at.
        fix: What to do about it.
        exit_code: 1 when a retry may help, 2 when it cannot (bad input or configuration).
        report_runs: Rows for `_report_runs` about reports that failed.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "", exit_code: int = 1) -> None:
        super().__init__(what)
        self.what, self.where, self.fix, self.exit_code = what, where, fix, exit_code
        self.report_runs: list[dict[str, Any]] = []

    def __str__(self) -> str:
        """Render the three lines a terminal shows."""
        lines = [self.what]
        if self.where:
            lines.append(f"  at   {self.where}")
        if self.fix:
            lines.append(f"  fix  {self.fix}")
        return "\n".join(lines)


class InputError(SourceError):
    """Bad input or configuration: trying again cannot help (exit code 2)."""

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what, where=where, fix=fix, exit_code=2)
