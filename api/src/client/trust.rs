//! Which server a client believes: one whose certificate comes from somebody it trusts and is for the
//! name that was asked for; or, for a client on the server's own machine, exactly the one in the server's file,
//! whatever names it has. There is no way around it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::tls::certificates;

/// How a connection is encrypted, and for whom.
#[derive(Clone)]
pub(super) struct Trust {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Trust").field(&self.server).finish()
    }
}

impl Trust {
    /// Trusts the certificates of a PEM file, or those that this machine trusts.
    pub(super) fn new(host: &str, authorities: Option<&Path>) -> Result<Self, String> {
        let server = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("'{host}' is no name that a certificate can be for"))?;
        Ok(Self {
            config: Arc::new(tls_config(authorities)?),
            server,
        })
    }

    /// Trusts a server that has the first certificate of a PEM file, and its key.
    pub(super) fn exactly(host: &str, file: &Path) -> Result<Self, String> {
        let server = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("'{host}' is no name that a server can have"))?;
        let chain = certificates(file).map_err(|error| error.to_string())?;
        let certificate = chain.into_iter().next();
        let certificate = certificate.ok_or_else(|| "has no certificate".to_owned())?;
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| error.to_string())?;
        let verifier = Arc::new(Exactly {
            certificate,
            provider,
        });
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            server,
        })
    }

    pub(super) async fn encrypt(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let connector = TlsConnector::from(self.config.clone());
        let connecting = connector.connect(self.server.clone(), stream).await;
        connecting.map_err(|error| format!("the server cannot be trusted: {error}"))
    }
}

/// HTTP/1.1 over TLS 1.2 or 1.3, to servers whose certificates come from the authorities of a PEM file, or
/// from those that this machine trusts.
///
/// # Errors
/// The file cannot be read or has none; this machine trusts nobody.
pub fn tls_config(authorities: Option<&Path>) -> Result<ClientConfig, String> {
    let roots = match authorities {
        Some(file) => only(certificates(file).map_err(|error| error.to_string())?)
            .map_err(|why| format!("{}: {why}", file.display()))?,
        None => of_this_machine()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn only(certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate)
            .map_err(|error| format!("a certificate cannot be used: {error}"))?;
    }
    Ok(roots)
}

/// Of many, a few may be of a kind that is not known here.
fn of_this_machine() -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        true => Err("this machine trusts no certificates; name a file: --ca FILE".to_owned()),
        false => Ok(roots),
    }
}

/// Believes one certificate. That the server has its key is proved by its signature.
#[derive(Debug)]
struct Exactly {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Exactly {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match *end_entity == self.certificate {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
