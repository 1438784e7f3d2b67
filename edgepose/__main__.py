"""Entry point of `edgepose` and of `python -m edgepose`.

`python -m` puts the working directory first on `sys.path`, where a user's own `edge.py` or `export/` would hide ours.
"""

import sys

from edgepose.shadows import ShadowedPackageError, leave_working_directory, refuse_shadows


def main() -> None:
    """Take the working directory off the path, then run the command line and exit with its code.

    Exits with 2, in one line, where PYTHONPATH still has a file that hides one of our packages.
    """
    leave_working_directory()
    try:
        refuse_shadows()
    except ShadowedPackageError as error:
        print(f"edgepose: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
    from edge.cli import main as run

    run()


if __name__ == "__main__":
    main()
