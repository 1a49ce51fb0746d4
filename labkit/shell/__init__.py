"""Shell cells: `%%in CONTAINER` and `%%host`, beside IPython's own `%%sh`.

They are registered by `import labkit` in a notebook; what they need is loaded when one is run.
"""

from labkit.shell.magics import register

__all__ = ["register"]
