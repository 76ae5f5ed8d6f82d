"""The tree of errors; the command line catches its root once and turns it into one line and an exit status.

EdgeCnnError
├── InputError (exit 2)            bad usage or bad input
│   ├── ModelError                 a model file that cannot be used
│   │   └── NoHeadError            a graph without a fully-connected last layer
│   ├── BundleError                a bundle that is damaged or not to be trusted
│   ├── SlotError                  a model slot that cannot be used
│   │   └── SlotBusyError          a model slot that another process is changing
│   └── DataError                  images, labels or arrays that cannot be used
├── CheckFailedError (exit 1)      everything ran, and the answer is no
│   ├── ToleranceError             host and device disagree beyond the tolerance
│   ├── DeviceFailedError          a model ended or hung the process that ran it
│   ├── AccuracyDropError          the result would be worse than what is there
│   └── ConstraintError            an artifact breaks a rule of its target
└── UnavailableError (exit 3)      something that was asked for is not there
    ├── RuntimeUnavailableError
    │   └── AcceleratorUnavailableError  it would compute elsewhere than it was asked to
    ├── CompilerError                    a target's compiler that does not do its work
    │   └── CompilerMissingError         a compiler that is not there
    └── DeviceUnavailableError
"""

from __future__ import annotations


class EdgeCnnError(Exception):
    """Root of all errors raised on purpose. The message says what was wrong, what was got and what to do next."""

    exit_status = 2


class InputError(EdgeCnnError):
    """Bad usage or bad input."""


class ModelError(InputError):
    """A model file that cannot be used."""


class NoHeadError(ModelError):
    """A graph that does not end with a fully-connected layer."""


class BundleError(InputError):
    """A bundle that is damaged, of an unknown schema, or not to be trusted."""


class SlotError(InputError):
    """A model slot that cannot be used."""


class SlotBusyError(SlotError):
    """A model slot that another process is changing."""


class DataError(InputError):
    """Images, labels or arrays that cannot be used."""


class CheckFailedError(EdgeCnnError):
    """Everything ran, and the answer is no."""

    exit_status = 1


class ToleranceError(CheckFailedError):
    """Host and device disagree beyond the tolerance."""


class DeviceFailedError(CheckFailedError):
    """A model ended or hung the process that ran it."""


class AccuracyDropError(CheckFailedError):
    """The result would be less accurate than what is there already."""


class ConstraintError(CheckFailedError):
    """An artifact breaks a rule of its target."""


class UnavailableError(EdgeCnnError):
    """Something that was asked for is not there."""

    exit_status = 3


class RuntimeUnavailableError(UnavailableError):
    """An inference runtime that is not installed here."""


class AcceleratorUnavailableError(RuntimeUnavailableError):
    """An accelerator that was asked for and does not run the graph; what computes instead is no answer."""


class CompilerError(UnavailableError):
    """A target's own compiler that crashes, hangs, refuses the file or says what nobody understands."""


class CompilerMissingError(CompilerError):
    """A target's own compiler that is not installed and cannot be made ready."""


class DeviceUnavailableError(UnavailableError):
    """A device that cannot be reached or is not set up."""
