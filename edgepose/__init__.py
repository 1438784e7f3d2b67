"""Everything in `edge`, under the name of the distribution.

    import edgepose
    pose = edgepose.load("rtmpose-s-192x256.openvino-fp32", threads=4)

Importing it raises ShadowedPackageError, an ImportError, where a file earlier on `sys.path` hides one of the packages
edge, export, quantize, runtimes and devices. As with `edge`, no engine and no OpenCV is loaded.
"""

from typing import TYPE_CHECKING, Any

from edgepose.shadows import is_program, refuse_shadows

if TYPE_CHECKING:
    from edge import *  # noqa: F403
    from edge import __all__ as __all__
    from edge import __version__ as __version__
else:
    if not is_program():  # the program checks for itself, and reports in one line
        refuse_shadows()

    def __getattr__(name: str) -> Any:
        """Return what `edge` has of this name, `__all__` and `__version__` included."""
        import edge

        return getattr(edge, name)

    def __dir__() -> list[str]:
        """List the public names for completion."""
        import edge

        return dir(edge)
