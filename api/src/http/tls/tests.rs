//! Files as operators have them: good ones, wrong ones, and ones that are just being exchanged.

use super::*;
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use std::path::Path;

/// A certificate for localhost that is valid to the end of a year, and its key; PEM.
fn certificate(last_year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(last_year, 12, 31);
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn written(directory: &Path, certificate: &str, key: &str) -> TlsFiles {
    let files = TlsFiles {
        certificate: directory.join("cert.pem"),
        key: directory.join("key.pem"),
    };
    std::fs::write(&files.certificate, certificate).unwrap();
    std::fs::write(&files.key, key).unwrap();
    files
}

/// 31 December, 00:00 UTC.
fn end_of(year: i32) -> u64 {
    let seconds = date_time_ymd(year, 12, 31).unix_timestamp();
    u64::try_from(seconds).unwrap() * 1_000
}

#[test]
fn a_certificate_and_its_key_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let (pem, key) = certificate(2041);
    let tls = Tls::open(written(directory.path(), &pem, &key)).unwrap();
    assert_eq!(tls.validity().not_after_ms, end_of(2041));
    assert!(
        tls.validity().subject.contains("rcgen"),
        "{:?}",
        tls.validity()
    );
}

#[test]
fn a_chain_is_valid_for_as_long_as_its_first_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let (pem, key) = certificate(2050);
    let chain = pem + &certificate(2031).0;
    let tls = Tls::open(written(directory.path(), &chain, &key)).unwrap();
    assert_eq!(tls.validity().not_after_ms, end_of(2031));
}

#[test]
fn what_is_wrong_is_told_with_the_file_and_without_its_content() {
    let directory = tempfile::tempdir().unwrap();
    let (pem, key) = certificate(2041);
    let (_, foreign) = certificate(2041);
    let secret = key.lines().nth(1).unwrap();
    let cut = key.replace("-----END", "");
    let no_base64 = format!("-----BEGIN PRIVATE KEY-----\n{secret}!\n-----END PRIVATE KEY-----\n");
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let no_x509 = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let wrong = [
        ("", &*key, "cert.pem: has no '-----BEGIN CERTIFICATE-----'"),
        (
            &*key,
            &*key,
            "cert.pem: has no '-----BEGIN CERTIFICATE-----'",
        ),
        (no_x509, &*key, "cert.pem: a certificate in it is no X.509"),
        (&*pem, &*pem, "key.pem: has no private key"),
        (
            &*pem,
            &*cut,
            "key.pem: a section of the PEM file has no end",
        ),
        (
            &*pem,
            &*no_base64,
            "key.pem: a section of the PEM file is not base64",
        ),
        (&*pem, no_key, "key.pem: the key cannot be used"),
        (
            &*pem,
            &*foreign,
            "key.pem: this is not the key of the certificate",
        ),
    ];
    for (certificate, key, expected) in wrong {
        let files = written(directory.path(), certificate, key);
        let error = Tls::open(files).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        assert!(error.contains(expected), "{expected}: {error}");
        assert!(!error.contains(secret), "{error}");
    }
}

#[test]
fn a_file_that_is_not_there_or_far_too_large_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (pem, key) = certificate(2041);
    let files = written(directory.path(), &pem, &"x".repeat(2 << 20));
    let error = Tls::open(files.clone()).err().unwrap().to_string();
    assert!(error.contains("key.pem: is larger than"), "{error}");
    std::fs::write(&files.key, key).unwrap();
    std::fs::remove_file(&files.certificate).unwrap();
    let error = Tls::open(files).err().unwrap().to_string();
    assert!(error.contains("cert.pem: cannot be read"), "{error}");
}

#[test]
fn changed_files_are_taken_over_and_broken_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let (pem, key) = certificate(2041);
    let tls = Tls::open(written(directory.path(), &pem, &key)).unwrap();
    let (new_pem, new_key) = certificate(2042);
    // The certificate is there already, its key is not.
    written(directory.path(), &new_pem, &key);
    tls.follow();
    assert_eq!(tls.validity().not_after_ms, end_of(2041));
    written(directory.path(), &new_pem, &new_key);
    tls.follow();
    assert_eq!(tls.validity().not_after_ms, end_of(2042));
}
