"""adelt: advertising data into a warehouse, and marts that people can trust."""

__version__ = "0.1.0"
