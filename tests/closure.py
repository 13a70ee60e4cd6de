"""Where the repository is, and which of its modules import which."""

from ovs3d.identity import ROOT, Sources

__all__ = ["MODULES", "ROOT"]

MODULES = Sources(ROOT)
