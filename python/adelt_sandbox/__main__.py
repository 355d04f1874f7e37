"""`python -m adelt_sandbox`: start a sandbox from the command line."""

import argparse
from datetime import date
from pathlib import Path

from adelt_sandbox.clock import parse_instant
from adelt_sandbox.config import Config
from adelt_sandbox.process import announce
from adelt_sandbox.server import print_usage, serve


def main() -> None:
    """Parse the arguments and serve until stopped."""
    parser = argparse.ArgumentParser(
        "adelt_sandbox", description="A local server that speaks the Google advertising APIs."
    )
    default = Config()
    parser.add_argument("--host", default=default.host, help="address to listen on")
    parser.add_argument(
        "--port", type=int, default=default.port, help="port to listen on; 0 picks a free one"
    )
    parser.add_argument("--seed", type=int, default=default.seed, help="same seed, same world")
    parser.add_argument("--size", default=default.size, help="size of the world, tiny and up")
    parser.add_argument(
        "--now", type=parse_instant, default=default.now, help="where the virtual clock stands"
    )
    parser.add_argument("--state", type=Path, default=default.state_dir, help="folder for keys and files")
    parser.add_argument(
        "--report-seconds", type=float, default=default.report_seconds, help="real seconds a report needs"
    )
    parser.add_argument(
        "--erf-until",
        type=date.fromisoformat,
        default=default.erf_until,
        help="last day with entity read files",
    )
    parser.add_argument("--token-seconds", type=int, default=default.token_seconds, help="life of a token")
    parser.add_argument(
        "--signed-url-seconds", type=int, default=default.signed_url_seconds, help="life of a report link"
    )
    parser.add_argument(
        "--storage-needs-token", action="store_true", help="refuse Cloud Storage requests without a token"
    )
    options = parser.parse_args()

    def ready(config: Config) -> None:
        print_usage(config)
        announce(config.state_dir, url=config.url)

    serve(
        options.host,
        options.port,
        options.seed,
        options.size,
        options.now,
        options.state,
        report_seconds=options.report_seconds,
        erf_until=options.erf_until,
        token_seconds=options.token_seconds,
        signed_url_seconds=options.signed_url_seconds,
        anonymous_storage=not options.storage_needs_token,
        on_ready=ready,
    )


if __name__ == "__main__":
    main()
