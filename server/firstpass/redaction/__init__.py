"""Redaction: what must not leave this machine gets a placeholder, and comes back where the answer is shown.

Redactor finds and hides; Placeholders holds one request's secrets in memory; a Restorer brings them back in a stream.
It knows no request, no ceiling and no model.
"""

from firstpass.redaction.found import Found
from firstpass.redaction.placeholders import Placeholders, Restorer
from firstpass.redaction.redactor import Redactor

__all__ = ["Found", "Placeholders", "Redactor", "Restorer"]
