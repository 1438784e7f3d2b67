"""Commands of `edgepose`, one module a verb; each module's `command` is the click command."""
