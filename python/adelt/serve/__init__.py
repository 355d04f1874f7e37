"""The run history over HTTP, in the shape of Orchestra's Metadata API. It reads the ledger and never writes it."""
