"""Commands whose options arrive in groups: one value for a group, instead of one argument for each option."""

import dataclasses
import inspect
from typing import Any, get_type_hints

import click
import msgspec


class Verb(click.Command):
    """A command that may take dataclasses and structs: each is built from the options named like its fields.

    An option without a value leaves the field its own default.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Build the groups, then call the command's function."""
        for name, kind in get_type_hints(self.callback).items():
            if dataclasses.is_dataclass(kind) or _is_struct(kind):
                fields = inspect.signature(kind).parameters
                given = {each: ctx.params.pop(each) for each in fields if each in ctx.params}
                ctx.params[name] = kind(
                    **{
                        each: value
                        for each, value in given.items()
                        if value is not None or fields[each].default is inspect.Parameter.empty
                    }
                )
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section (see `edge.cli.options.together`), those without one last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(param, "section", ""), []).append(record)
        rest = sections.pop("", [])
        for title, records in (*sections.items(), ("Options", rest)):
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
