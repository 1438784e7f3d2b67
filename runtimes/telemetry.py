"""Usage telemetry of OpenVINO and NNCF, switched off: a board reports to nobody, and no event forks a running program.

Both packages send events to Google Analytics by default, from a forked child process, and work without
`openvino_telemetry`: where it cannot be imported they take a stub of their own.
"""

import sys
from typing import Any, cast


def disable_telemetry() -> None:
    """Keep `openvino_telemetry` from being imported in this process; call it before `import openvino` or `nncf`.

    No effect where the program has imported it before.
    """
    # None in sys.modules makes the import statement raise ImportError
    cast("dict[str, Any]", sys.modules).setdefault("openvino_telemetry", None)
