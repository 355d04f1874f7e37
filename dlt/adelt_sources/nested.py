"""What both destinations of dlt have here beyond dlt's own: nested columns stay nested, and they are asked once."""

from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext


class NestedDestination:
    """In front of a destination factory of dlt; `type_mapper` is set by whoever inherits."""

    type_mapper: type[Any]

    def _raw_capabilities(self) -> DestinationCapabilitiesContext:
        caps: DestinationCapabilitiesContext = super()._raw_capabilities()  # type: ignore[misc]
        caps.supports_nested_types = True
        caps.type_mapper = self.type_mapper
        return caps

    def capabilities(self, config: Any = None, naming: Any = None) -> DestinationCapabilitiesContext:
        """What the destination can do; dlt asks nine times a load, and would look for its whole configuration each time."""
        ask = super().capabilities  # type: ignore[misc]
        if config is not None:
            return ask(config, naming)
        known: dict[Any, DestinationCapabilitiesContext] = self.__dict__.setdefault("_asked", {})
        how = (type(naming), getattr(naming, "max_length", None))
        if how not in known:
            known[how] = ask(None, naming)
        return known[how].copy()
