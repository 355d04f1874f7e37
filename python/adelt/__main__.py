"""`python -m adelt`: the same command line as `adelt`."""

from adelt.cli import run_app

if __name__ == "__main__":
    run_app()
