"""What a backfill is asked for: the options of the command, or a file that says the same for several pipelines."""

from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from adelt.definition.load import validated
from adelt.definition.source import read
from adelt.errors import InputError
from adelt.window import Every


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)


class Entry(_Strict):
    """One pipeline and the days it is wanted for."""

    pipeline: str = Field(description="A pipeline's name or file.")
    first: date = Field(alias="from", description="First day.")
    last: date = Field(alias="to", description="Last day, included.")
    chunk: Every | None = Field(None, description="Days of one run; by default the pipeline's own interval.")
    inputs: dict[str, Any] = Field(default_factory=dict, description="Inputs that differ from the defaults.")
    select: tuple[str, ...] = Field((), description="Only these tasks.")


class Spec(_Strict):
    """A whole backfill."""

    engine: Literal["local", "airflow", "orchestra"] = Field("local", description="Who runs the chunks.")
    pipelines: tuple[Entry, ...] = Field(min_length=1, description="Pipelines, begun in this order.")
    order: Literal["oldest", "newest"] = Field("oldest", description="Which chunk of a pipeline comes first.")
    parallel: int = Field(1, ge=1, le=64, description="Chunks at a time.")
    force: bool = Field(False, description="Do again what is done.")
    transform: Literal["end", "chunk"] = Field(
        "end",
        description="Whether dbt runs once when every chunk of every pipeline is loaded, or in every chunk.",
    )


def load_spec(path: Path) -> Spec:
    """Read a backfill's file.

    Raises:
        InputError: It is not there, or wrong: everything that is, with its line.
    """
    if not path.is_file():
        raise InputError("there is no such file", where=str(path), fix="give the path of a YAML file")
    return validated(Spec, read(path, str(path), begin="pipelines:"))
