"""Judging evidence again by another policy, after the results are known, and saying so."""

from datetime import UTC, datetime

from fairwitness.audit.evidence import Evidence, digest_of
from fairwitness.audit.plan import PolicyFile
from fairwitness.audit.policy import check_gates, extended, judge
from fairwitness.audit.registry import check_of_metric


def judged_again(evidence: Evidence, policy: PolicyFile) -> Evidence:
    """Give the same measurements with the verdicts of another policy.

    Args:
        evidence: of an audit; its plan stays as it was before the first result.
        policy: gates, waivers and annexes; these are added to what the evidence has.

    Raises:
        UserError: the policy names a metric or an attribute that does not exist.
    """
    full = extended(policy)
    for gate in full.gates:
        check_of_metric(gate.metric, where=policy.place("gates"))
    for metric in (metric for annex in full.annex for metric in annex.metrics):
        check_of_metric(metric, where=policy.place("annex"))
    attributes = sorted({m.attribute for m in evidence.measurements() if m.attribute is not None})
    check_gates(full.gates, full.waivers, attributes, {key: policy.place(key) for key in ("gates", "waivers")})
    today = datetime.now(UTC).date()
    rows = evidence.subject.data.rows
    judgement = judge(evidence.checks, full.gates, full.waivers, full.policy, as_of=today, rows=rows)
    return evidence.model_copy(
        update={
            **vars(judgement),
            "annexes": (*evidence.annexes, *(annex for annex in full.annex if annex not in evidence.annexes)),
            "judged_again_by": digest_of(full.model_dump(mode="json")),
            "timing": evidence.timing.model_copy(update={"as_of": today}),
        }
    ).sealed()
