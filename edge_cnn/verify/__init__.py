"""Host against device: devices, parity, tolerances, latency; numpy and a light runtime.

`edge_cnn.verify` is both this package and the function: `edge_cnn.verify("model.edgecnn").check()`.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_cnn.verify.verify_result import VerifyReport


class _CallableModule(ModuleType):
    """A module that can be called, for `import edge_cnn.verify.parity` makes `edge_cnn.verify` the package for good.

    Were the name bound to the function instead, it would depend on the order of imports which of the two it is.
    """

    def __call__(self, *arguments: Any, **options: Any) -> VerifyReport:
        """`edge_cnn.verify.replay.verify`. Raises: as there."""
        from edge_cnn.verify.replay import verify

        return verify(*arguments, **options)


sys.modules[__name__].__class__ = _CallableModule
