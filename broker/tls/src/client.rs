//! The end of TLS that connects.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore,
    SignatureScheme,
};

use crate::files::{TlsError, TlsFile, TlsVersion, provider, read_all, read_key};

/// How TLS is spoken with a server. The default believes the authorities of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClientConfig {
    /// Whose certificates of the far end are believed; `None` = the authorities that the system
    /// believes.
    pub cafile: Option<PathBuf>,
    /// The chain of the certificate that is shown there, its own first, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The certificate of the far end may be for another host name.
    pub insecure: bool,
    /// The protocol that is asked for in the handshake.
    pub alpn: Option<String>,
    /// The oldest version of TLS that is spoken.
    pub tls_version: TlsVersion,
}

impl Default for TlsClientConfig {
    fn default() -> Self {
        let (cafile, certificate, alpn) = (None, None, None);
        Self { cafile, certificate, insecure: false, alpn, tls_version: TlsVersion::V12 }
    }
}

impl TlsClientConfig {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn load(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(self.tls_version.and_later())
            .expect("ring has the cipher suites of both versions")
            .dangerous()
            .with_custom_certificate_verifier(self.verifier()?);
        let mut config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some((certfile, keyfile)) => {
                let chain = read_all::<CertificateDer<'static>>(TlsFile::Certificate, certfile)?;
                let key = read_key(keyfile)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| match error {
                    Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                        TlsError::Mismatch { path: keyfile.clone() }
                    }
                    Error::InvalidCertificate(_) => {
                        TlsError::unusable(TlsFile::Certificate, certfile, error)
                    }
                    _ => TlsError::unusable(TlsFile::Key, keyfile, error),
                })?
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        Ok(Arc::new(config))
    }

    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let roots = Arc::new(self.roots()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider());
        let verifier = verifier.build().map_err(|error| {
            let path = self.cafile.clone().unwrap_or_default();
            TlsError::unusable(TlsFile::Authorities, &path, error)
        })?;
        match self.insecure {
            true => Ok(Arc::new(AnyName(verifier))),
            false => Ok(verifier),
        }
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        let Some(cafile) = &self.cafile else {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
            return if roots.is_empty() { Err(TlsError::NoAuthorities) } else { Ok(roots) };
        };
        for certificate in read_all(TlsFile::Authorities, cafile)? {
            let unusable = |error| TlsError::unusable(TlsFile::Authorities, cafile, error);
            roots.add(certificate).map_err(unusable)?;
        }
        Ok(roots)
    }
}

/// Believes a certificate of a known authority whatever host it is for.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Self(verifier) = self;
        match verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        ) {
            // The name is looked at last.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
