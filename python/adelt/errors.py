"""Errors a user can act on: what happened, where, and what to do next."""

import difflib
import sys
from collections.abc import Iterable


class AdeltError(Exception):
    """A problem the user can fix. Rendered without a traceback.

    Attributes:
        what: What happened, in one sentence.
        where: The file and line, task, interval or request it happened at.
        fix: What to do about it.
        exit_code: 1 when a retry may help, 2 when it cannot.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.fix = what, where, fix

    def __str__(self) -> str:
        """Render the three lines a terminal shows."""
        lines = [self.what]
        if self.where:
            lines.append(f"  at   {self.where}")
        if self.fix:
            lines.append(f"  fix  {self.fix}")
        return "\n".join(lines)


class InputError(AdeltError):
    """An argument, input or setting is wrong: trying again cannot help."""

    exit_code = 2


class DefinitionError(AdeltError):
    """A pipeline definition is wrong. Nothing has run."""

    exit_code = 2


class DefinitionErrors(DefinitionError):  # noqa: N818 - several, hence the plural
    """Everything that is wrong in one or more definitions, in the order of the file.

    Attributes:
        problems: The single errors.
    """

    def __init__(self, problems: Iterable[AdeltError]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.what, where=first.where, fix=first.fix)

    def __str__(self) -> str:
        """Render every problem."""
        return "\n".join(str(problem) for problem in self.problems)


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """A fix that names the closest known word, or what there is.

    Args:
        word: What was written.
        known: What could have been written.
        otherwise: What the known words are, for the sentence when nothing is close, for example `inputs`.
    """
    options = sorted(set(known))
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if close:
        return f"did you mean `{close[0]}`?"
    if not otherwise:
        return ""
    return f"{otherwise}: {', '.join(options)}" if options else f"there are no {otherwise}"


def is_told(error: BaseException) -> bool:
    """Whether an error is one that a user can act on, ours or a source's, rather than a bug."""
    sources = sys.modules.get(
        "adelt_sources.errors"
    )  # not imported for this: without it there is none of a source
    return isinstance(error, AdeltError) or (sources is not None and isinstance(error, sources.SourceError))


def exit_code(error: Exception) -> int:
    """The exit code that an error asks for; 1 for a bug."""
    return int(getattr(error, "exit_code", 1)) if is_told(error) else 1


def one_line(error: Exception) -> str:
    """What an error says, for the run history; at most 1,000 characters."""
    text = str(getattr(error, "what", "")) if is_told(error) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:1000]
