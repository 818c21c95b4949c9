"""What every section of the settings is."""

import re

from pydantic import BaseModel, ConfigDict

IN_ADDRESS = re.compile(r"(?<=://)[^/?#\s]*@")
"""A user's name and password in a URL."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
