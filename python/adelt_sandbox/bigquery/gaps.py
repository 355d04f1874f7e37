"""What the emulator lacks and BigQuery has, filled in for the emulator alone."""


def apply() -> None:
    """Patch the emulator; each patch says why."""
    import bqemulator.api.routes.upload as upload
    from bqemulator.storage.engine import DuckDBEngine
    from bqemulator.versioning.snapshots import SnapshotManager

    # google-cloud-bigquery always says */* for the file in a multipart upload.
    upload._PERMITTED_MEDIA_CONTENT_TYPES += ("*/*",)
    # Geography needs an extension from the internet.
    DuckDBEngine._load_spatial = lambda _self: None
    # Time travel copies a table for every change; nothing here travels.
    SnapshotManager.record_change = lambda *_args, **_kwargs: None
