//! Secrets that a service manager hands to a service: `credential:NAME` in the place of a file name.
//!
//! systemd puts what `LoadCredential=` and the like name into a directory that only the service can
//! read, and says where in `CREDENTIALS_DIRECTORY` (systemd.exec, "Credentials"). Nothing is read
//! here: the answer is the name of a file.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// What the name of a credential begins with where a file is named.
const PREFIX: &str = "credential:";

/// Where systemd keeps the credentials of its services, a directory for each.
const OF_SYSTEM: &str = "/run/credentials";

/// The file of a credential, if `text` names one: in the directory that this process was given, or
/// without one in that of `service`, so that root can check the file of a service from outside.
///
/// # Errors
/// The name cannot be that of a credential; the text says why.
pub(crate) fn credential_file(text: &str, service: &str) -> Result<Option<PathBuf>, &'static str> {
    within(text, env::var_os("CREDENTIALS_DIRECTORY"), service)
}

fn within(
    text: &str,
    directory: Option<OsString>,
    service: &str,
) -> Result<Option<PathBuf>, &'static str> {
    let Some(name) = text.strip_prefix(PREFIX) else { return Ok(None) };
    if name.is_empty() || name.starts_with('.') || name.len() > NAME_BYTES_MAX {
        return Err("a credential has a name of 1 to 255 characters that begins with no full stop");
    }
    if name.contains(['/', '\0']) {
        return Err("a credential is named without a directory: LoadCredential= says where it is");
    }
    let directory = directory.filter(|directory| !directory.is_empty());
    let directory = directory.map_or_else(|| Path::new(OF_SYSTEM).join(service), PathBuf::from);
    Ok(Some(directory.join(name)))
}

/// Of the name of a file.
const NAME_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_is_a_file_of_the_directory_that_the_service_was_given() {
        let given = Some(OsString::from("/run/credentials/box.service"));
        let found = within("credential:passwords", given, "weir.service").unwrap();
        assert_eq!(found, Some(PathBuf::from("/run/credentials/box.service/passwords")));
        for none in [None, Some(OsString::new())] {
            let found = within("credential:passwords", none, "weir.service").unwrap();
            assert_eq!(found, Some(PathBuf::from("/run/credentials/weir.service/passwords")));
        }
    }

    #[test]
    fn other_names_are_files_and_a_way_out_of_the_directory_is_refused() {
        assert_eq!(within("passwords", None, "weir.service"), Ok(None));
        assert_eq!(within("keys/credential:x", None, "weir.service"), Ok(None));
        for wrong in ["credential:", "credential:..", "credential:a/b", "credential:.x"] {
            assert!(within(wrong, None, "weir.service").is_err(), "{wrong}");
        }
    }
}
