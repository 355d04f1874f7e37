"""How long commands wait for the sandbox in tests: it is quicker than Google."""

IMPATIENT = {"ADELT_POLL_MIN": "0.05", "ADELT_POLL_MAX": "0.5", "ADELT_RETRY_MIN": "0.05"}
