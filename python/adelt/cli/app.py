"""The application: its commands, options that several share, and how errors end it."""

import signal
import sys
from typing import Annotated, Any

import typer

from adelt.errors import AdeltError, InputError, is_told

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # drawing help with rich costs 0.3 s
    add_completion=False,
    help="Advertising data from DV360 and CM360 into a warehouse, and marts that people can trust.",
)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Inputs = Annotated[
    list[str] | None, typer.Option("-i", "--input", help="An input, name=value; a list is a,b,c. Repeatable.")
]
TargetOption = Annotated[
    str | None, typer.Option("--target", help="Environment of deploy/targets.yml; ADELT_TARGET otherwise.")
]


def run_app() -> None:
    """Run the command line; errors that a user can fix print without a traceback."""
    from adelt.cli.commands import command_line

    try:
        command_line()
    except AdeltError as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output left; Python would complain on exit
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        if not is_told(error):
            raise
        fail(error)


def fail(error: Any) -> None:
    """Print an error with `what`, `where`, `fix`, and exit with its code."""
    print(error_text(error), file=sys.stderr)
    sys.exit(error.exit_code)


def error_text(error: Any) -> str:
    """An error as the terminal shows it: one block for each problem."""
    red, plain = ("\033[31m", "\033[0m") if sys.stderr.isatty() else ("", "")
    return "\n".join(f"{red}error{plain} {problem}" for problem in getattr(error, "problems", (error,)))


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """Read `name=value` options.

    Raises:
        InputError: One has no `=`, or a name comes twice.
    """
    result: dict[str, str] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InputError(f"`{text}` is not name=value", where=option, fix=f"write {option} name=value")
        if name in result:
            raise InputError(f"`{name}` is given twice", where=option, fix="give it once; a list is a,b,c")
        result[name] = value
    return result
