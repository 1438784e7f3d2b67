"""What every struct on disk is: frozen, keyword-only, and strict about fields it does not know."""

import msgspec


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of every struct on disk."""
