//! What an operator has to know of a certificate (X.509, RFC 5280).

use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::TlsError;

/// When a certificate is valid, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validity {
    /// First moment, Unix milliseconds.
    pub not_before_ms: u64,
    /// Last moment, Unix milliseconds.
    pub not_after_ms: u64,
    /// The subject's distinguished name (RFC 4514); may be empty.
    pub subject: String,
}

impl Validity {
    /// That of a chain, whose weakest certificate ends first.
    ///
    /// # Errors
    /// There is none, or one is no certificate; `file` is where they are from.
    pub fn of(chain: &[CertificateDer<'_>], file: &Path) -> Result<Self, TlsError> {
        let read = |der: &CertificateDer<'_>| {
            let certificate = Certificate::from_der(der)
                .map_err(|_| TlsError::new(file, "a certificate in it is no X.509 certificate"))?;
            Ok(validity(&certificate))
        };
        let all: Vec<Self> = chain.iter().map(read).collect::<Result<_, _>>()?;
        let mut all = all.into_iter();
        let none = || TlsError::new(file, "has no certificate");
        let mut validity = all.next().ok_or_else(none)?;
        for other in all {
            validity.not_before_ms = validity.not_before_ms.max(other.not_before_ms);
            validity.not_after_ms = validity.not_after_ms.min(other.not_after_ms);
        }
        Ok(validity)
    }
}

fn validity(certificate: &Certificate) -> Validity {
    let certificate = &certificate.tbs_certificate;
    let ms = |time: x509_cert::time::Time| {
        u64::try_from(time.to_unix_duration().as_millis()).unwrap_or(u64::MAX)
    };
    Validity {
        not_before_ms: ms(certificate.validity.not_before),
        not_after_ms: ms(certificate.validity.not_after),
        subject: certificate.subject.to_string(),
    }
}
