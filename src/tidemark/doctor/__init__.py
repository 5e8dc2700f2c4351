"""Doctor: check settings, rights, connections and versions, each by itself, for what would hinder a run.

In: a pipeline that has not run yet, or has failed.
Out: findings. A failure stops a run. What a hint names makes a run slower or less certain; the hint says what is lost.
Must not know: cli, aws, embedded.
"""

from tidemark.doctor.examination import examine
from tidemark.doctor.finding import Finding

__all__ = ["Finding", "examine"]
