"""The two kinds of expected errors.

Whatever the user can mend is an `InputError`; its text is one line that names the file, the record, what was expected,
what came and how to mend it. A run that cannot go on although its input was right is a `RunError`. The command line prints
either as ``molgen: error: <line>`` and exits with status 2 or 1. Everything else is a defect of molgen.
"""


class InputError(ValueError):
    """Bad input: a file, a record, an option or a configuration that the user can mend (exit status 2)."""


class OutputError(InputError):
    """What was asked for cannot be written, for want of space or of content; work that is finished by then stays (exit status 2)."""


class RunError(RuntimeError):
    """A run that had to stop although its input was valid, such as a loss that is no longer finite (exit status 1)."""
