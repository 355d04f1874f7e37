"""Write pipelines in the format of other engines: the graph is theirs, each task calls the same `adelt task`.

`core` says what an export is, `kestra` and `orchestra` make one, `*_model` are the formats, `read_*` the way back.
"""

from adelt.export.core import Export, Note, engines, export, exporter

__all__ = ["Export", "Note", "engines", "export", "exporter"]
