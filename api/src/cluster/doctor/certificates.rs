//! The certificates of the HTTP API and of MQTT listeners: near their end, beyond it, or before their begin.

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
    let found = answered(&evidence.nodes).flat_map(|(node, answer)| {
        let all = answer.http_certificate.iter();
        let all = all.chain(&answer.listener_certificates);
        all.filter_map(move |certificate| Some(judged(node.id, certificate)?.at(node.id)))
    });
    found.collect()
}

/// Whose certificate it is, who asks for it, and the settings that name its files.
struct Owner {
    whose: String,
    refuse: &'static str,
    certificate: String,
    key: String,
}

fn owner(node: u64, certificate: &CertificateState) -> Owner {
    match certificate.listener.as_str() {
        "" => Owner {
            whose: format!("The certificate of the HTTP API of node {node}"),
            refuse: "nobody can ask the node without a warning",
            certificate: "http.tls_certificate".to_owned(),
            key: "http.tls_key".to_owned(),
        },
        name => Owner {
            whose: format!("The certificate of listener {name} of node {node}"),
            refuse: "MQTT clients that check it do not connect there",
            certificate: format!("listener.{name}.tls_certificate"),
            key: format!("listener.{name}.tls_key"),
        },
    }
}

/// By the clock of the certificate's own node.
fn judged(node: u64, certificate: &CertificateState) -> Option<Finding> {
    let CertificateState {
        not_before_ms,
        not_after_ms,
        now_ms,
        ..
    } = *certificate;
    let owner = owner(node, certificate);
    let Owner { whose, refuse, .. } = &owner;
    if now_ms > not_after_ms {
        let days = (now_ms - not_after_ms) / DAY_MS;
        let message = format!("{whose} expired {days} days ago; {refuse}.");
        let finding = Finding::new(Severity::Critical, "certificate_expired", message);
        return Some(shown(finding, certificate, &owner));
    }
    if now_ms < not_before_ms {
        let message = format!("{whose} is not valid yet, by the clock of its node.");
        let finding = Finding::new(Severity::Critical, "certificate_not_yet_valid", message);
        let fix = format!(
            "Compare the clock of the node's machine (timedatectl) with the begin of the certificate; if the clock is right, put a certificate that is valid into {} and its key beside it.",
            certificate.file
        );
        return Some(shown(finding, certificate, &owner).fixed_by(fix));
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
        &owner,
    ))
}

fn shown(finding: Finding, certificate: &CertificateState, owner: &Owner) -> Finding {
    let time = |ms: u64| crate::time::local(ms);
    let fix = format!(
        "Renew the certificate and write it and its key over {} ({}) and the file of {}: it is in force within seconds, without a restart. Does the program that renews it still run?",
        certificate.file, owner.certificate, owner.key
    );
    let finding = match certificate.listener.as_str() {
        "" => finding,
        name => finding.shown_by("listener", name),
    };
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
                listener: String::new(),
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

    /// The one of a listener that is well is not told of.
    #[test]
    fn a_listeners_certificate_is_watched_and_named() {
        let now_ms = 20_000 * DAY_MS;
        let of = |listener: &str, days: u64| CertificateState {
            file: format!("/etc/raftmq/{listener}.pem"),
            not_after_ms: now_ms + days * DAY_MS,
            now_ms,
            listener: listener.to_owned(),
            ..Default::default()
        };
        let found = findings(&healthy_with(3, |node| {
            node.listener_certificates = vec![of("tls", 6), of("web", 31)];
        }));
        let [finding] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(
            (finding.severity, finding.code, finding.node_id),
            (Severity::Critical, "certificate_expires", Some(3))
        );
        assert!(finding.message.contains("listener tls"), "{finding:?}");
        assert!(finding.fix.contains("listener.tls.tls_key"), "{finding:?}");
        assert_eq!(finding.evidence["listener"], "tls");
    }

    #[test]
    fn without_tls_there_is_nothing_to_find() {
        assert_eq!(findings(&healthy_with(2, |_| {})), []);
    }
}
