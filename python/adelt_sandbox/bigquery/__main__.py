"""`python -m adelt_sandbox.bigquery`: start the emulator from the command line."""

import argparse
import asyncio
import signal
from pathlib import Path

from adelt_sandbox.bigquery import PROJECT, catalog_views, gaps, parquet, speed
from adelt_sandbox.bigquery.front import Front
from adelt_sandbox.process import announce


def main() -> None:
    """Parse the arguments and serve until stopped."""
    parser = argparse.ArgumentParser("adelt_sandbox.bigquery", description="A BigQuery to develop against.")
    parser.add_argument("--port", type=int, default=0, help="port of the REST API; 0 picks a free one")
    parser.add_argument(
        "--buckets", type=Path, help="folder in which gs://bucket/name is the file bucket/name"
    )
    parser.add_argument(
        "--state", type=Path, help="folder that is told the addresses once requests are answered"
    )
    options = parser.parse_args()
    asyncio.run(_serve(options.port, options.buckets, options.state))


async def _serve(port: int, buckets: Path | None, state: Path | None) -> None:
    parquet.apply()
    gaps.apply()
    speed.apply()
    catalog_views.apply()
    import bqemulator.server as server
    from bqemulator.config import PersistenceMode, Settings

    plain_app = server.create_app
    server.create_app = lambda context: Front(plain_app(context), context)
    emulator = server.EmulatorServer(
        Settings(
            rest_port=port,
            grpc_port=0,
            persistence_mode=PersistenceMode.EPHEMERAL,
            default_project_id=PROJECT,
            gcs_local_root=buckets,
            enable_format_extensions=False,
            metrics_enabled=False,
            log_level="warning",
            log_format="console",
        )
    )
    await emulator.start()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    told = {"url": emulator.rest_url, "grpc": emulator.grpc_endpoint}
    print(f"BigQuery at {told['url']}, project {PROJECT}", flush=True)
    if state:
        announce(state, **told)
    await stopped.wait()
    await emulator.stop()


if __name__ == "__main__":
    main()
