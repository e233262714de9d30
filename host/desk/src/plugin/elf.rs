//! Reads a library's file without loading it: a truncated one would end the process with SIGBUS, and the manifest must
//! be known before any of its code runs.

use infomax_manifest::{Manifest, SECTION};
use object::{
    LittleEndian, Object, ObjectSection,
    elf::{ET_DYN, FileHeader64},
    read::elf::{ElfFile64, FileHeader, ProgramHeader},
};

const MACHINE: object::elf::Machine =
    if cfg!(target_arch = "x86_64") { object::elf::EM_X86_64 } else { object::elf::EM_AARCH64 };

/// Checks a library's bytes and reads its manifest.
///
/// # Errors
/// What is wrong, and what to do.
pub fn read_manifest(bytes: &[u8]) -> Result<Manifest, (String, String)> {
    let build = "build it with `cargo build --release` and a `cdylib` crate type";
    if bytes.is_empty() {
        return Err(("the file is empty".to_owned(), build.to_owned()));
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Err(("not an ELF shared library".to_owned(), build.to_owned()));
    }
    let damaged = |what: &str| (format!("the file is damaged: {what}"), "build or copy it again".to_owned());
    let header = FileHeader64::<LittleEndian>::parse(bytes).map_err(|_| damaged("no 64-bit little-endian header"))?;
    if header.e_machine.get(LittleEndian) != MACHINE {
        return Err(("built for another processor".to_owned(), "build it on this machine's architecture".to_owned()));
    }
    if header.e_type.get(LittleEndian) != ET_DYN {
        return Err(("not a shared library".to_owned(), build.to_owned()));
    }
    let segments = header.program_headers(LittleEndian, bytes).map_err(|_| damaged("program headers cut off"))?;
    for segment in segments {
        let end = segment.p_offset(LittleEndian).checked_add(segment.p_filesz(LittleEndian));
        if end.is_none_or(|end| end > bytes.len() as u64) {
            return Err(damaged("a segment reaches past the end, the file is truncated"));
        }
    }
    let file = ElfFile64::<LittleEndian>::parse(bytes).map_err(|_| damaged("section headers cut off"))?;
    let Some(section) = file.section_by_name(SECTION) else {
        let hint = "export components with `infomax_sdk::export_plugin!`";
        return Err(("it has no manifest, so it is not an infomax plugin".to_owned(), hint.to_owned()));
    };
    let data = section.data().map_err(|_| damaged("the manifest is cut off"))?;
    serde_json::from_slice(data).map_err(|error| damaged(&format!("the manifest can't be read: {error}")))
}
