//! The certificate of the HTTP API: near its end, beyond it, or before its begin.

use super::{Evidence, Finding, Severity};
use crate::cluster::evidence::answered;
use crate::node::CertificateState;

const DAY_MS: u64 = 86_400_000;
/// Who renews by hand needs some days; who has it done by a program should have seen it happen by now:
/// programs renew a certificate of 90 days 30 days before its end.
const DAYS_WARNING: u64 = 30;
/// Nothing renews it any more, it seems.
const DAYS_CRITICAL: u64 = 7;

pub(super) fn findings(evidence: &Evidence) -> Vec<Finding> {
    let found = answered(&evidence.nodes).filter_map(|(node, answer)| {
        let certificate = answer.http_certificate.as_ref()?;
        Some(judged(node.id, certificate)?.at(node.id))
    });
    found.collect()
}

/// By the clock of the certificate's own node.
fn judged(node: u64, certificate: &CertificateState) -> Option<Finding> {
    let CertificateState {
        not_before_ms,
        not_after_ms,
        now_ms,
        ..
    } = *certificate;
    let whose = format!("The certificate of the HTTP API of node {node}");
    if now_ms > not_after_ms {
        let days = (now_ms - not_after_ms) / DAY_MS;
        let message =
            format!("{whose} expired {days} days ago; nobody can ask the node without a warning.");
        let finding = Finding::new(Severity::Critical, "certificate_expired", message);
        return Some(shown(finding, certificate));
    }
    if now_ms < not_before_ms {
        let message = format!("{whose} is not valid yet, by the clock of its node.");
        let finding = Finding::new(Severity::Critical, "certificate_not_yet_valid", message);
        let fix = format!(
            "Compare the clock of the node's machine (timedatectl) with the begin of the certificate; if the clock is right, put a certificate that is valid into {} and its key beside it.",
            certificate.file
        );
        return Some(shown(finding, certificate).fixed_by(fix));
    }
    let days = (not_after_ms - now_ms) / DAY_MS;
    let severity = match days {
        0..DAYS_CRITICAL => Severity::Critical,
        DAYS_CRITICAL..DAYS_WARNING => Severity::Warning,
        _ => return None,
    };
    let message = format!("{whose} expires in {days} days.");
    Some(shown(
        Finding::new(severity, "certificate_expires", message),
        certificate,
    ))
}

fn shown(finding: Finding, certificate: &CertificateState) -> Finding {
    let time = |ms: u64| crate::time::local(ms);
    let fix = format!(
        "Renew the certificate and write it and its key over {} (http.tls_certificate) and the file of http.tls_key: it is in force within seconds, without a restart. Does the program that renews it still run?",
        certificate.file
    );
    finding
        .shown_by("file", certificate.file.as_str())
        .shown_by("subject", certificate.subject.as_str())
        .shown_by("not_before", time(certificate.not_before_ms))
        .shown_by("not_after", time(certificate.not_after_ms))
        .fixed_by(fix)
}

#[cfg(test)]
mod tests {
    use super::super::testing::healthy_with;
    use super::*;

    /// Of a certificate that ends so many days from now; negative: ago.
    fn ending_in(days: i64) -> Vec<(Severity, &'static str, Option<u64>)> {
        let now_ms = 20_000 * DAY_MS;
        let found = findings(&healthy_with(2, |node| {
            node.http_certificate = Some(CertificateState {
                file: "/etc/raftmq/cert.pem".into(),
                subject: "CN=m2".into(),
                not_before_ms: now_ms - 90 * DAY_MS,
                not_after_ms: now_ms.saturating_add_signed(days * 86_400_000),
                now_ms,
            });
        }));
        for finding in &found {
            assert!(finding.fix.contains("/etc/raftmq/cert.pem"), "{finding:?}");
            assert_eq!(finding.evidence["subject"], "CN=m2");
        }
        let found = found.into_iter();
        found.map(|f| (f.severity, f.code, f.node_id)).collect()
    }

    #[test]
    fn an_end_that_is_near_is_found_in_time() {
        let warning = (Severity::Warning, "certificate_expires", Some(2));
        let critical = (Severity::Critical, "certificate_expires", Some(2));
        assert_eq!(ending_in(30), []);
        assert_eq!(ending_in(29), [warning]);
        assert_eq!(ending_in(7), [warning]);
        assert_eq!(ending_in(6), [critical]);
        assert_eq!(ending_in(0), [critical]);
    }

    #[test]
    fn a_certificate_beyond_its_end_is_critical() {
        let expired = (Severity::Critical, "certificate_expired", Some(2));
        assert_eq!(ending_in(-1), [expired]);
    }

    #[test]
    fn one_that_is_not_valid_yet_is_critical() {
        let found = findings(&healthy_with(1, |node| {
            node.http_certificate = Some(CertificateState {
                not_before_ms: 2,
                not_after_ms: 100 * DAY_MS,
                now_ms: 1,
                ..Default::default()
            });
        }));
        assert_eq!(found[0].code, "certificate_not_yet_valid");
        assert_eq!(found[0].severity, Severity::Critical);
    }

    #[test]
    fn without_tls_there_is_nothing_to_find() {
        assert_eq!(findings(&healthy_with(2, |_| {})), []);
    }
}
