//! Certificates for one test, in files.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use weir_tests::harness::folder::Folder;

/// A folder with `ca.pem`, and `broker`, `node` and `stranger` with `.pem` and `.key`: a client of
/// that authority whose name is `node-7`, and one of another authority.
pub(super) struct Site(pub(super) Folder);

impl Site {
    pub(super) fn new(name: &str) -> Self {
        let site = Self(Folder::new(name));
        let (authority, other) = (authority("works"), authority("elsewhere"));
        site.0.write("ca.pem", authority.pem());
        site.sign("broker", "localhost", &authority);
        site.sign("node", "node-7", &authority);
        site.sign("stranger", "node-7", &other);
        site
    }

    pub(super) fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.to_str().unwrap().to_owned()
    }

    fn sign(&self, file: &str, name: &str, authority: &CertifiedIssuer<'static, KeyPair>) {
        let mut params = params(name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        self.0.write(&format!("{file}.pem"), certificate.pem());
        self.0.write(&format!("{file}.key"), key.serialize_pem());
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(name: &str) -> CertificateParams {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
