"""Commands for other engines: export writes their files, import reads them."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adelt.cli.app import Json
from adelt.cli.output import print_json
from adelt.errors import AdeltError, InputError

if TYPE_CHECKING:
    from adelt.definition import Definition
    from adelt.export import Export

NOT_EXPRESSED = 3  # exit code of --strict
_MARK = "# Written by `adelt export "


def export(
    engine: Annotated[str, typer.Argument(help="airflow, kestra or orchestra; all of them by default.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 if a file is out of date.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing; exit 3 if the engine cannot express something.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the pipelines in the format of another engine, below deploy/."""
    from adelt import definition, settings
    from adelt import export as exports

    project = settings.load().project
    paths = definition.find_all(project)
    if not paths:
        raise InputError("there are no pipelines", where=str(project / "pipelines"), fix="add a file there")
    loaded = [definition.load(path, project) for path in paths]
    _check_names(loaded)
    made = {
        name: exports.export(name, loaded, project) for name in ([engine] if engine else exports.engines())
    }
    stale = [name for export in made.values() for name in _out_of_date(export, project)]
    if not (check or strict):
        for export in made.values():
            _write(export, project)
    if as_json:
        print_json(
            {
                "out_of_date" if check or strict else "written": stale,
                "notes": [{"engine": name, **vars(note)} for name, one in made.items() for note in one.notes],
            }
        )
    else:
        _tell(made, [] if check else stale, written=not (check or strict), strict=strict)
    if check and stale:
        for name in stale:
            print(f"out of date: {name}", file=sys.stderr)
        print(f"  fix  adelt export {engine}".rstrip(), file=sys.stderr)
        raise typer.Exit(1)
    if strict and any(note.kind == "missing" for one in made.values() for note in one.notes):
        raise typer.Exit(NOT_EXPRESSED)


def import_(
    engine: Annotated[str, typer.Argument(help="kestra or orchestra.")],
    file: Annotated[Path, typer.Argument(help="A flow or pipeline of that engine.")],
    as_json: Json = False,
) -> None:
    """Print what a file of another engine says as a definition, and list what has no place in one."""
    from adelt import definition, settings
    from adelt.export import reading

    if not file.is_file():
        raise InputError(f"there is no file `{file}`", fix="give the path of a YAML file")
    known = {path.stem for path in definition.find_all(settings.load().project)}
    found = reading.read(engine, file.read_text("utf-8", "replace"), str(file), known)
    if as_json:
        print_json({"definition": found.definition, "lost": found.lost})
        return
    print(found.text(str(file)), end="")
    for lost in found.lost:
        print(f"not taken over: {lost}", file=sys.stderr)


def _check_names(loaded: "list[Definition]") -> None:
    seen: dict[str, str] = {}
    for one in loaded:
        name = one.pipeline.name
        if name in seen:
            raise InputError(
                f"two pipelines are called `{name}`", where=f"{seen[name]} and {one.path}", fix="rename one"
            )
        seen[name] = one.path


def _out_of_date(export: "Export", project: Path) -> list[str]:
    """Files that are not as they would be written, and generated ones that would not be."""
    found = [
        name
        for name, text in export.files.items()
        if not (project / name).is_file() or (project / name).read_bytes() != text.encode()
    ]
    return found + [str(path.relative_to(project)) for path in _left_over(export, project)]


def _left_over(export: "Export", project: Path) -> list[Path]:
    return [
        path
        for path in sorted((project / export.owned).glob("*.yml"))
        if str(path.relative_to(project)) not in export.files
        and path.read_text("utf-8", "replace").startswith(_MARK)
    ]


def _write(export: "Export", project: Path) -> None:
    for path in _left_over(export, project):
        path.unlink()
    for name, text in export.files.items():
        path = project / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file() or path.read_bytes() != text.encode():
                path.write_bytes(text.encode())
        except OSError as error:
            raise AdeltError(f"the file cannot be written: {error.strerror}", where=name) from error


def _tell(made: "dict[str, Export]", stale: list[str], *, written: bool, strict: bool) -> None:
    for name in stale if written else ():
        print(f"wrote {name}")
    for engine, export in made.items():
        missing = [note for note in export.notes if note.kind == "missing"]
        print(
            f"{engine}: {len(export.files)} files, {len(missing)} cannot be expressed, "
            f"{len(export.notes) - len(missing)} approximated"
        )
        for note in missing if strict else ():
            print(f"  {note.pipeline}  {note}")
