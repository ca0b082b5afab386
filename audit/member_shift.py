"""Can members be told from non-members without the model?"""

from fairwitness.audit.evidence import NotAssessed


def member_shift() -> None:
    """Give the artifact."""
    raise NotAssessed("artifact_missing", artifact="member_shift")
