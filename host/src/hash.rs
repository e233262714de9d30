//! SHA-256, as everything that is identified by its bytes writes it.

use sha2::{Digest, Sha256};

/// The hash of some bytes, in hexadecimal.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
