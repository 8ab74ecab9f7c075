//! Packs what the admin server sends as it is: in the program it takes a fifth of its size then,
//! and nothing is packed while the broker runs.

use std::io::{self, Write as _};
use std::path::Path;
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Below the package; what is packed goes below the directory of the build, with `.gz` behind its
/// name.
const TEXTS: [&str; 2] = ["src/admin/openapi.json", "src/dashboard"];

fn main() -> io::Result<()> {
    let package = env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is");
    let build = env::var("OUT_DIR").expect("cargo says where the build is");
    for text in TEXTS {
        println!("cargo::rerun-if-changed={text}");
        pack(&Path::new(&package).join(text), Path::new(&build))?;
    }
    Ok(())
}

/// Packs a file, or each file of a directory.
fn pack(from: &Path, into: &Path) -> io::Result<()> {
    if from.is_dir() {
        return fs::read_dir(from)?.try_for_each(|entry| pack(&entry?.path(), into));
    }
    let name = from.file_name().expect("a file has a name").to_string_lossy();
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(&fs::read(from)?)?;
    fs::write(into.join(format!("{name}.gz")), packed.finish()?)
}
