"""Types of settings: what a plug-in's keyword-only arguments may be annotated with.

Each adds a bound that the configuration check enforces before anything starts.
"""

from typing import Annotated

Count = Annotated[int, {"minimum": 1}]
Natural = Annotated[int, {"minimum": 0}]
NonNegative = Annotated[float, {"minimum": 0}]
Share = Annotated[float, {"minimum": 0, "maximum": 1}]
