"""The error of this package, in a module of its own because its parts raise it."""


class AssetError(RuntimeError):
    """An asset can't be had; the message says why and what to do."""
