//! The files that are generated from the declarations: the sample configuration and the page of
//! the reference. A test holds both up to date; run it with `WEIR_WRITE_REFERENCE=1` to write
//! them.

use super::declared::DECLARED;

/// `config/weir.toml`: every key, commented out, with its default.
pub fn sample_file() -> String {
    DECLARED.sample(
        "# Configuration of Weir. Every key is here, commented out, with its default or an\n\
         # example. Durations are \"5s\", \"2m\", \"14d\"; sizes are \"64KB\", \"2MB\".\n\
         # `weir check --config weir.toml` says whether a file is right; docs/configuration.md is\n\
         # the same as a page.\n",
    )
}

/// `docs/configuration.md`: the same as a page.
pub fn reference_page() -> String {
    DECLARED.page(
        "# Configuration\n\n\
         One file in TOML, `weir.toml`, and the rule files that it names. Every key has a default; \
         [config/weir.toml](../config/weir.toml) is a file with all of them to start from. \
         `weir check --config FILE` shows every problem of all files at once, with its place and \
         what to do.\n\n\
         - Durations are one number and one unit: `\"250ms\"`, `\"5s\"`, `\"2m\"`, `\"1h\"`, \
         `\"14d\"`, `\"2w\"`.\n\
         - Sizes are a number of bytes or one number and one unit: `65536`, `\"64KB\"`, `\"2MB\"`, \
         `\"1GB\"`. One KB is 1024 bytes.\n\
         - A relative path starts at the directory of the file. Where a file is named, \
         `\"credential:NAME\"` is one that systemd has handed to the service with \
         `LoadCredential=NAME:…` or `SetCredentialEncrypted=`: [operations](operations.md).\n\
         - `--set section.key=value` on the command line goes before the environment variable \
         `WEIR_SECTION__KEY=value`, and both go before the file: `--set log.level=debug`, \
         `WEIR_LOG__LEVEL=debug`, `WEIR_DATA_DIR=/data`.\n",
    )
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;

    fn assert_up_to_date(file: &str, generated: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        if env::var_os("WEIR_WRITE_REFERENCE").is_some() {
            fs::write(&path, generated).unwrap();
        }
        let stored = fs::read_to_string(&path).unwrap_or_default();
        assert!(stored == generated, "{file} is old: run this test with WEIR_WRITE_REFERENCE=1");
    }

    #[test]
    fn generated_files_are_up_to_date() {
        assert_up_to_date("config/weir.toml", &sample_file());
        assert_up_to_date("docs/configuration.md", &reference_page());
    }

    #[test]
    fn every_key_is_declared_once_and_can_be_as_the_sample_says() {
        let faults = DECLARED.faults();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }
}
