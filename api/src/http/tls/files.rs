//! The PEM files, and words for what is wrong with them. No message repeats anything of their content: a
//! key that was put into the wrong file must not end up in a log.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// A file beyond this is no certificate.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and, after it, those that lead to its root; PEM.
    pub certificate: PathBuf,
    /// Its private key (PKCS #8, PKCS #1 or SEC 1), not encrypted; PEM.
    pub key: PathBuf,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {why}", .file.display())]
pub struct TlsError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it; nothing of its content.
    pub why: String,
}

impl TlsError {
    /// One file, and what is wrong with it.
    pub fn new(file: &Path, why: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            why: why.into(),
        }
    }
}

impl TlsFiles {
    /// The chain, at least one certificate, and the key.
    ///
    /// # Errors
    /// A file cannot be read, or is not what it should be.
    pub fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?);
        let key = key.map_err(|error| TlsError::new(&self.key, no_key(&error)))?;
        Ok((chain, key))
    }

    /// Certificate and key are fine, each by itself.
    pub fn unfit(&self, error: &rustls::Error) -> TlsError {
        match error {
            rustls::Error::InconsistentKeys(_) => {
                let certificate = self.certificate.display();
                let why = format!("this is not the key of the certificate in {certificate}");
                TlsError::new(&self.key, why)
            }
            rustls::Error::InvalidCertificate(error) => TlsError::new(
                &self.certificate,
                format!("the certificate cannot be used: {error}"),
            ),
            error => TlsError::new(&self.key, format!("the key cannot be used: {error}")),
        }
    }
}

/// All certificates of a PEM file, at least one.
///
/// # Errors
/// The file cannot be read, or has none.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(file)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let chain = chain.map_err(|error| TlsError::new(file, broken(&error)))?;
    if chain.is_empty() {
        return Err(TlsError::new(file, "has no '-----BEGIN CERTIFICATE-----'"));
    }
    Ok(chain)
}

/// All revocation lists (RFC 5280 §5) of a PEM file, at least one.
///
/// # Errors
/// The file cannot be read, or has none.
pub fn revocation_lists(
    file: &Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let bytes = read(file)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = lists.map_err(|error| TlsError::new(file, broken(&error)))?;
    if lists.is_empty() {
        return Err(TlsError::new(file, "has no '-----BEGIN X509 CRL-----'"));
    }
    Ok(lists)
}

/// A whole file, if it is not too large to be what is looked for.
fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable =
        |error: std::io::Error| TlsError::new(file, format!("cannot be read: {error}"));
    let opened = fs::File::open(file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let mut limited = opened.take(FILE_BYTES_MAX + 1);
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let why = format!("is larger than {FILE_BYTES_MAX} bytes");
        return Err(TlsError::new(file, why));
    }
    Ok(bytes)
}

fn no_key(error: &PemError) -> &'static str {
    match error {
        PemError::NoItemsFound => {
            "has no private key that can be read; one begins with '-----BEGIN PRIVATE KEY-----' and is not encrypted"
        }
        other => broken(other),
    }
}

fn broken(error: &PemError) -> &'static str {
    match error {
        PemError::MissingSectionEnd { .. } => "a section of the PEM file has no end",
        PemError::Base64Decode(_) => "a section of the PEM file is not base64",
        _ => "is no PEM file",
    }
}

/// By what changed files are known: time, size and place of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamp(Vec<Option<(i64, i64, u64, u64)>>);

impl FileStamp {
    /// How these files are now.
    pub fn of<'p>(files: impl IntoIterator<Item = &'p Path>) -> Self {
        let stamp = |file: &Path| {
            let found = fs::metadata(file).ok()?;
            Some((found.mtime(), found.mtime_nsec(), found.size(), found.ino()))
        };
        Self(files.into_iter().map(stamp).collect())
    }
}

impl TlsFiles {
    /// How both are now.
    pub fn stamp(&self) -> FileStamp {
        FileStamp::of([&*self.certificate, &*self.key])
    }
}
