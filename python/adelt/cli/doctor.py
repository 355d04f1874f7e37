"""The command that says what is missing."""

import typer

from adelt.cli.app import Json, TargetOption

_COLOURS = {"ok": "\033[32m", "warn": "\033[33m", "fail": "\033[31m", "skip": "\033[2m"}


def doctor(target: TargetOption = None, as_json: Json = False) -> None:
    """Check what runs need, and say how to put right what is not: 0 all is well, 1 try again, 2 set it right."""
    import sys
    import time

    from adelt import settings
    from adelt.cli.output import print_json
    from adelt.doctor import Check, examine, exit_code
    from adelt.redact import Redactor

    here = settings.load(target)
    clean = Redactor(settings.secret_values()).clean
    checks: list[Check] = []
    for check in examine(here, time.time):
        checks.append(check)
        if not as_json:
            colour, plain = (_COLOURS[check.status], "\033[0m") if sys.stdout.isatty() else ("", "")
            print(f"{colour}{check.status:4}{plain}  {check.name}: {clean(check.detail)}", flush=True)
            if check.fix:
                print(f"      fix  {clean(check.fix)}", flush=True)
    code = exit_code(checks)
    if as_json:
        shown = [
            {"name": c.name, "status": c.status, "detail": clean(c.detail), "fix": clean(c.fix)}
            for c in checks
        ]
        print_json({"target": here.target, "exit_code": code, "checks": shown})
    else:
        counts = {status: sum(check.status == status for check in checks) for status in _COLOURS}
        told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        print(f"{here.target} ({here.warehouse}): {told}")
    raise typer.Exit(code)
