"""Advertising sources for dlt: DV360, CM360, their reports, and Entity Read Files, one table per invocation."""
