"""What a target allows a run to cost, seen to before anything is run."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adelt.preview import Preview
    from adelt.settings import Settings

_SHOWN = 5


def check(here: "Settings", previews: "Iterable[Preview]") -> None:
    """Refuse runs of which one would cost more than the target allows; tell which tasks are not known.

    Args:
        here: Settings; the target has a limit.
        previews: What would be run, each a run of its own.

    Raises:
        InputError: One exceeds `max_run_bytes`; nothing has been run.
    """
    from adelt import cost  # late: only a target with a limit needs Google's client

    unknown = dict.fromkeys(task for preview in previews for task in cost.check(here, preview))
    if unknown:
        names, more = list(unknown)[:_SHOWN], len(unknown) - _SHOWN
        print(
            "what they will cost is not known, the estimate goes without them: "
            + ", ".join(names) + (f" and {more} more" if more > 0 else ""),
            file=sys.stderr,
        )  # fmt: skip
