//! Who a client's certificate says that it is: the common name of its subject, or a name of its own
//! (Subject Alternative Name, RFC 5280 §4.2.1.6).

use crate::config::CertificateName;
use rustls::pki_types::CertificateDer;
use x509_cert::{
    Certificate,
    der::{
        Any, Decode,
        asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef},
    },
    ext::pkix::{SubjectAltName, name::GeneralName},
};

/// X.520's commonName.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// What a certificate names its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// There is no certificate, or nobody asks it for a name.
    Nobody,
    Name(String),
    /// It has no such name, or one that MQTT has no place for.
    Unfit,
}

/// The name in the first certificate of a client's chain, which has been verified.
pub(crate) fn named(chain: Option<&[CertificateDer<'_>]>, from: CertificateName) -> Named {
    let Some(own) = chain.and_then(<[_]>::first) else {
        return Named::Nobody;
    };
    let Ok(certificate) = Certificate::from_der(own) else {
        return Named::Unfit;
    };
    let name = match from {
        CertificateName::Off => return Named::Nobody,
        CertificateName::CommonName => common_name(&certificate),
        CertificateName::AlternativeName => alternative_name(&certificate),
    };
    match name.filter(|name| !name.is_empty() && !name.chars().any(char::is_control)) {
        Some(name) => Named::Name(name),
        None => Named::Unfit,
    }
}

/// The last one is the most special (RFC 4514 §2.1).
fn common_name(certificate: &Certificate) -> Option<String> {
    let subject = certificate.tbs_certificate.subject.0.iter().rev();
    let mut attributes = subject.flat_map(|name| name.0.iter());
    let name = attributes.find(|attribute| attribute.oid == COMMON_NAME)?;
    text(&name.value)
}

fn text(value: &Any) -> Option<String> {
    let utf8 = value.decode_as::<Utf8StringRef<'_>>();
    let printable = || value.decode_as::<PrintableStringRef<'_>>();
    let ia5 = || value.decode_as::<Ia5StringRef<'_>>();
    let utf8 = utf8.map(|text| text.as_str().to_owned());
    utf8.or_else(|_| printable().map(|text| text.as_str().to_owned()))
        .or_else(|_| ia5().map(|text| text.as_str().to_owned()))
        .ok()
}

/// The first DNS name, mail address or URI.
fn alternative_name(certificate: &Certificate) -> Option<String> {
    let (_, names) = certificate.tbs_certificate.get::<SubjectAltName>().ok()??;
    names.0.iter().find_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
        GeneralName::Rfc822Name(address) => Some(address.as_str().to_owned()),
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_owned()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(common_name: &str, names: Vec<SanType>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, common_name);
        params.subject_alt_names = names;
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("signed").into()
    }

    fn name(text: &str) -> Named {
        Named::Name(text.to_owned())
    }

    #[test]
    fn the_name_is_the_one_that_is_asked_for() {
        let mail = SanType::Rfc822Name("a@example.org".try_into().expect("ASCII"));
        let dns = SanType::DnsName("meter-7.example.org".try_into().expect("ASCII"));
        let chain = [certificate("meter 7", vec![mail, dns])];
        let of = |from| named(Some(&chain), from);
        assert_eq!(of(CertificateName::CommonName), name("meter 7"));
        assert_eq!(of(CertificateName::AlternativeName), name("a@example.org"));
        assert_eq!(of(CertificateName::Off), Named::Nobody);
    }

    #[test]
    fn a_certificate_without_the_name_is_not_nobody() {
        let chain = [certificate("meter 7", Vec::new())];
        let of = |chain| named(chain, CertificateName::AlternativeName);
        assert_eq!(of(Some(&chain)), Named::Unfit);
        assert_eq!(of(None), Named::Nobody);
        let chain = [certificate("two\nlines", Vec::new())];
        let of = named(Some(&chain), CertificateName::CommonName);
        assert_eq!(of, Named::Unfit);
    }
}
