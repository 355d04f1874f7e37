"""Read BigQuery (the emulator) as Arrow through the Storage Read API: REST pages take a hundred times as long."""

from typing import Any

import grpc
import pyarrow as pa
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient, types
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from adelt_sandbox.bigquery import Running


class Reader:
    """Tables and queries of an emulator."""

    def __init__(self, emulator: Running) -> None:
        options = [("grpc.max_receive_message_length", -1)]
        channel = grpc.insecure_channel(emulator.grpc, options=options)
        self._project = emulator.project
        self._storage = BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))
        self.client = bigquery.Client(
            emulator.project,
            credentials=AnonymousCredentials(),
            location="EU",
            client_options={"api_endpoint": emulator.url},
        )

    def table(self, name: str) -> list[dict[str, Any]]:
        """All rows of `dataset.table`."""
        dataset, _, table = name.partition(".")
        path = f"projects/{self._project}/datasets/{dataset}/tables/{table}"
        session = self._storage.create_read_session(
            parent=f"projects/{self._project}",
            max_stream_count=1,
            read_session=types.ReadSession(table=path, data_format=types.DataFormat.ARROW),
        )
        schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
        rows: list[dict[str, Any]] = []
        for stream in session.streams:
            for message in self._storage.read_rows(stream.name):
                batch = message.arrow_record_batch.serialized_record_batch
                if batch:
                    rows += pa.ipc.read_record_batch(pa.py_buffer(batch), schema).to_pylist()
        return rows

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The answer to a small query."""
        return [tuple(row.values()) for row in self.client.query(sql).result()]
