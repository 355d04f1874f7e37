"""Folders and files that a definition names."""

from adelt.definition.check import place_fault
from adelt.steps.context import Context
from adelt_sources.objects import Place, place, split


def folder(context: Context, url: str) -> Place:
    """The folder that a URL or a path of the project names.

    Raises:
        InputError: It names no folder, or a whole bucket.
    """
    url = whole(context, url)
    return place(url, context.settings.impersonate)


def file(context: Context, url: str) -> tuple[Place, str]:
    """The folder and name of a file.

    Raises:
        InputError: It names no file.
    """
    above, name = split(whole(context, url))
    return place(above, context.settings.impersonate), name


def whole(context: Context, url: str) -> str:
    """A URL as it is, a path from the project's folder; the slash at its end stays.

    Raises:
        InputError: It is no place for files, or a whole bucket.
    """
    if fault := place_fault(url):
        raise context.bad(f"`{url}` {fault}", "write gs://BUCKET/FOLDER or a path")
    if "://" in url:
        return url
    path = (context.settings.project / url).resolve()
    if context.settings.project.is_relative_to(path):
        raise context.bad(f"`{url}` holds the whole project", "name a folder in it")
    return f"{path}/" if url.endswith("/") else str(path)
