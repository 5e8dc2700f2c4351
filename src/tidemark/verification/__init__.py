"""Verification: the proof that source, latest, star and warehouse hold the same, or the keys at which they do not."""

from tidemark.verification.result import Difference, Edge, Side, TableProof, Verification
from tidemark.verification.verify import Verify

__all__ = ["Difference", "Edge", "Side", "TableProof", "Verification", "Verify"]
