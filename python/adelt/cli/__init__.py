"""The command line. Parse, call one function, print: no logic lives here."""

from adelt.cli.app import run_app

__all__ = ["run_app"]
