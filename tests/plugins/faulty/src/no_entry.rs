//! A library with a manifest and no entry, as if it were exported by hand.

const MANIFEST: &[u8; include_bytes!(concat!(env!("OUT_DIR"), "/infomax-manifest.json")).len()] =
    include_bytes!(concat!(env!("OUT_DIR"), "/infomax-manifest.json"));

/// What `export_plugin!` puts there.
#[used]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".infomax.manifest")]
pub static INFOMAX_MANIFEST: [u8; MANIFEST.len()] = *MANIFEST;
