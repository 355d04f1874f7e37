"""What all tests share."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def no_settings_of_the_shell():
    """Tests say which settings they run with: those of the shell that starts them do not count."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("ADELT_")]:
            patch.delenv(name)
        yield
