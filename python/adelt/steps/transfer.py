"""The action `transfer`: one file from one place to another, compared by checksum."""

import time

from adelt.ledger.rows import Operation
from adelt.steps import places
from adelt.steps.context import Context, StepResult
from adelt_sources.transfer import transfer


def step(context: Context) -> StepResult:
    """Copy the file, unless the same one is there already.

    Raises:
        InputError: There is no such file, or a place cannot be used.
        SourceError: The copy differs, or Cloud Storage did not answer; a copy that differs is not kept.
    """
    action, begun = context.action, time.monotonic()
    source, name = places.file(context, str(action["from"]))
    to = str(action["to"])
    target, target_name = places.file(context, f"{to}{name}" if to.endswith("/") else to)

    def tell(done: int, total: int) -> None:
        context.progress("transfer", f"copying {source.url}/{name}", None, done, total)

    work = context.settings.home / "work" / "transfers"
    copied = transfer(source, name, target, target_name, work, tell)
    where = f"{target.url}/{target_name}"
    operation = Operation(
        "TRANSFER",
        where,
        status="SKIPPED" if copied.was_there else "SUCCEEDED",
        bytes=copied.bytes,
        seconds=time.monotonic() - begun,
        details={"from": f"{source.url}/{name}", "crc32c": copied.crc32c},
    )
    told = "was there already, unchanged" if copied.was_there else "copied, checksum equal"
    return StepResult(
        f"{where}: {told}",
        bytes=copied.bytes,
        outputs={"bytes": copied.bytes, "crc32c": copied.crc32c, "to": where},
        operations=(operation,),
    )
