"""Verification: the proof that source, latest, star and warehouse hold the same, or the keys at which they do not."""
