//! What the processor can do.

use std::{env, fs};

/// Whether products of bf16 numbers are instructions of the processor (AVX512-BF16, AMX), as far as oneDNN may use them:
/// libtorch emulates them otherwise.
pub fn has_bf16() -> bool {
    // oneDNN's own limit, under both of its names.
    let limit = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"].into_iter().find_map(|name| env::var(name).ok());
    let below = ["sse41", "avx", "avx2", "avx2_vnni", "avx2_vnni_2", "avx512_core", "avx512_core_vnni"];
    if limit.is_some_and(|limit| below.contains(&limit.to_lowercase().as_str())) {
        return false;
    }
    has_flag(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
}

fn has_flag(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    flags.split_whitespace().any(|flag| ["avx512_bf16", "amx_bf16"].contains(&flag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_tell_whether_bf16_is_fast() {
        let cpu = |flags: &str| format!("processor : 0\nflags\t\t: fpu {flags} sse2\nbugs :\n");
        assert!(has_flag(&cpu("avx512f avx512_bf16")) && has_flag(&cpu("amx_bf16")));
        assert!(!has_flag(&cpu("avx2 avx512f avx512_vnni")) && !has_flag(""));
    }
}
