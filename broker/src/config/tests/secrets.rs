//! Nothing that is printed, for whatever reason, contains a secret.

use super::*;

#[test]
fn a_secret_is_never_shown() {
    let loaded = accepted("", &[("RAFTMQ_HTTP_BEARER_TOKEN", "s3cret")], &[]);
    assert!(!format!("{loaded:?}").contains("s3cret"));
    assert!(!effective_toml(&loaded).contains("s3cret"));
    let long = "s3cret".repeat(1_000);
    for bad in [
        "s3cret with spaces",
        "s3cret\u{e9}",
        "s3cret\u{7}",
        long.as_str(),
    ] {
        let lines = refused("", &[], &[("http.bearer_token", bad)]);
        assert!(!lines[0].contains("s3cret"), "{lines:?}");
    }
    let lines = refused(
        "[http]\nbearer_token = 53\nbearer_tokn = \"s3cret\"\n",
        &[],
        &[],
    );
    assert!(
        lines.iter().all(|line| !line.contains("s3cret")),
        "{lines:?}"
    );
    let broken = "[http]\nbearer_token = s3cret\n[mqtt]\nmax_qos = \"s3cret\n";
    let lines = refused(broken, &[], &[]);
    assert!(
        lines.iter().all(|line| !line.contains("s3cret")),
        "{lines:?}"
    );
    let flag = FlagValue {
        flag: "--set".into(),
        key: "http.bearer_token".into(),
        value: "s3cret".into(),
    };
    assert!(!format!("{flag:?}").contains("s3cret"));
}
