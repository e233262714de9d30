//! Which variables of the environment take part in a run.

use super::{super::home::without_home, secrets};
use std::{collections::BTreeMap, ffi::OsString};

/// Of these, every variable: configs (infomax), threads (OpenMP, MKL, oneDNN, OpenBLAS), libtorch, CUDA and its libraries, NCCL, gloo.
const PREFIXES: [&str; 19] = [
    "ATEN_",
    "C10_",
    "CUBLAS",
    "CUDA_",
    "CUDNN_",
    "DNNL_",
    "GLOO_",
    "GOMP_",
    "INFOMAX__",
    "KMP_",
    "MALLOC_",
    "MKL_",
    "NCCL_",
    "NVIDIA_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "PYTORCH_",
    "TORCH_",
];
/// And these: where plugins and libraries are found, and which of several processes this is. Addresses of machines are left out.
const NAMES: [&str; 20] = [
    "GROUP_RANK",
    "INFOMAX_FAULT",
    "INFOMAX_FUSED",
    "INFOMAX_OWN_GRADIENTS",
    "INFOMAX_PLUGIN_PATH",
    "INFOMAX_WINOGRAD",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "OMPI_COMM_WORLD_SIZE",
    "PMI_SIZE",
    "RANK",
    "SLURM_JOB_ID",
    "SLURM_NTASKS",
    "SLURM_RESTART_COUNT",
    "SLURM_STEP_NUM_TASKS",
    "TORCHELASTIC_RESTART_COUNT",
    "TORCHELASTIC_RUN_ID",
    "WORLD_SIZE",
];

/// Of those that take part: by which instructions, and in which order, numbers are computed on a CPU.
const ARITHMETIC: [&str; 10] = [
    "ATEN_CPU_CAPABILITY",
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "INFOMAX_FUSED",
    "INFOMAX_OWN_GRADIENTS",
    "INFOMAX_WINOGRAD",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
];

/// The variables that change how numbers are computed and have other values in two environments: name and both values.
pub fn other_arithmetic(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<(&'static str, String, String)> {
    let value = |of: &BTreeMap<String, String>, name: &str| of.get(name).map_or("not set", String::as_str).to_owned();
    let both = ARITHMETIC.iter().map(|&name| (name, value(then, name), value(now, name)));
    both.filter(|(_, then, now)| then != now).collect()
}

/// The variables that take part, by name.
pub fn taking_part(variables: impl Iterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let text = |text: OsString| text.to_string_lossy().into_owned();
    variables
        .map(|(name, value)| (text(name), text(value)))
        .filter(|(name, _)| takes_part(name))
        .map(|(name, value)| {
            let shown =
                if secrets::is_secret(&name) { secrets::HIDDEN.to_owned() } else { secrets::without_logins(&value) };
            (name, without_home(&shown))
        })
        .collect()
}

fn takes_part(name: &str) -> bool {
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_takes_part_and_secrets_and_persons_do_not() {
        let set = [
            ("OMP_NUM_THREADS", "2"),
            ("INFOMAX__TRAIN__SEED", "3"),
            ("NCCL_AUTH_TOKEN", "abc"),
            ("CUDA_API_KEY", "abc"),
            ("INFOMAX_PLUGIN_PATH", "/plugins"),
            ("INFOMAX__DATASET__CONFIG__URL", "https://me:word@host/x"),
            ("AWS_SECRET_ACCESS_KEY", "abc"),
            ("SLURM_JOB_USER", "me"),
            ("USER", "me"),
            ("PATH", "/bin"),
        ];
        let found = taking_part(set.into_iter().map(|(name, value)| (name.into(), value.into())));
        let expected = [
            ("CUDA_API_KEY", "<hidden>"),
            ("INFOMAX_PLUGIN_PATH", "/plugins"),
            ("INFOMAX__DATASET__CONFIG__URL", "https://<hidden>@host/x"),
            ("INFOMAX__TRAIN__SEED", "3"),
            ("NCCL_AUTH_TOKEN", "<hidden>"),
            ("OMP_NUM_THREADS", "2"),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn what_numbers_depend_on_is_told_where_it_differs() {
        let of = |set: &[(&str, &str)]| set.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let then = of(&[("INFOMAX_WINOGRAD", "0"), ("MKL_CBWR", "AVX2"), ("OMP_NUM_THREADS", "2")]);
        let now = of(&[("MKL_CBWR", "AVX2"), ("ONEDNN_MAX_CPU_ISA", "AVX2")]);
        let found = other_arithmetic(&then, &now);
        let text = |value: &str| value.to_owned();
        let expected =
            [("INFOMAX_WINOGRAD", text("0"), text("not set")), ("ONEDNN_MAX_CPU_ISA", text("not set"), text("AVX2"))];
        assert_eq!(found, expected);
        assert!(ARITHMETIC.iter().all(|name| takes_part(name)));
    }
}
