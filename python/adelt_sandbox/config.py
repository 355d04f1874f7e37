"""What a sandbox is started with."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

DEFAULT_NOW = datetime(2026, 1, 6, 6, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Config:
    """Everything that decides how a sandbox behaves; the same config gives the same answers.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 picks a free one.
        seed: Number the world, the layouts and the faults are drawn from.
        size: Size of the world, `tiny` and up.
        now: Where the virtual clock stands at start.
        state_dir: Folder for key files, report files and buckets.
        report_seconds: Real seconds a report needs from queued to done.
        erf_until: Last day with entity read files.
        token_seconds: Life of an access token.
        signed_url_seconds: Life of a signed report link.
        anonymous_storage: Accept Cloud Storage requests without a token as the main account, because
            google-cloud-storage and gcsfs send none when STORAGE_EMULATOR_HOST is set.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    seed: int = 7
    size: str = "tiny"
    now: datetime = DEFAULT_NOW
    state_dir: Path = Path(".adelt/sandbox")
    report_seconds: float = 1.0
    erf_until: date = date(2024, 10, 31)
    token_seconds: int = 3600
    signed_url_seconds: int = 3600
    anonymous_storage: bool = True

    @property
    def url(self) -> str:
        """Where clients reach this sandbox."""
        return f"http://{self.host}:{self.port}"
