"""`crl doctor`: is everything there that a run needs, before its first costly second?"""

from crl.doctor.examine import examine
from crl.doctor.finding import Finding, Situation

__all__ = ["Finding", "Situation", "examine"]
