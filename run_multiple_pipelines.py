#!/usr/bin/env python3
"""Load years of history in bulk: `python run_multiple_pipelines.py daily --from 2024-01-01 --to 2025-12-31 --chunk month`.

The same as `adelt backfill`; `--help` has its options, docs/backfill.md says how it works.
"""

import sys
from pathlib import Path

# Python puts this folder first, and its `dlt` and `dbt` would hide the packages of these names.
sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]

from adelt.cli.app import run_app  # noqa: E402

if __name__ == "__main__":
    sys.argv.insert(1, "backfill")
    run_app()
