//! Which files of libtorch are mapped into this process: two of one library would each have a registry of operators and
//! an autograd of their own, and tensors would not pass between them.

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_int, c_void},
    path::Path,
};

/// Two mapped files that are both libtorch's `libc10` or `libtorch_cpu`; none in a healthy process.
pub(super) fn twice() -> Option<[String; 2]> {
    let mut paths: Vec<String> = Vec::new();
    // SAFETY: the callback only reads what the linker passes and pushes into `paths`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut paths).cast()) };
    conflict(&paths)
}

unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _size: usize, paths: *mut c_void) -> c_int {
    // SAFETY: the linker passes a valid entry, whose name is null or NUL-terminated.
    let name = unsafe { (*info).dlpi_name };
    if !name.is_null() {
        // SAFETY: see above; `paths` is the vector that `twice` passed, and nobody else uses it meanwhile.
        unsafe { (*paths.cast::<Vec<String>>()).push(CStr::from_ptr(name).to_string_lossy().into_owned()) };
    }
    0
}

fn conflict(paths: &[String]) -> Option<[String; 2]> {
    let mut seen: BTreeMap<&str, &String> = BTreeMap::new();
    for path in paths {
        let Some(core) = core(path) else { continue };
        match seen.get(core) {
            Some(first) if *first != path => return Some([(*first).clone(), path.clone()]),
            _ => {
                seen.insert(core, path);
            }
        }
    }
    None
}

/// Which of libtorch's libraries a file is, whatever is appended to its name (`libc10-3f2a.so`, `libtorch_cpu.so.2`).
fn core(path: &str) -> Option<&'static str> {
    let file = Path::new(path).file_name()?.to_str()?;
    let of = |name: &&str| {
        file.strip_prefix(*name)
            .is_some_and(|rest| rest.starts_with(['.', '-']) && rest.contains(".so") || rest == ".so")
    };
    ["libc10", "libtorch_cpu"].into_iter().find(|name| of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_of_one_library_conflict_and_siblings_do_not() {
        let conflict = |paths: &[&str]| conflict(&paths.iter().map(|&path| path.to_owned()).collect::<Vec<_>>());
        assert!(
            conflict(&["", "/a/libc10.so", "/a/libtorch_cpu.so", "/a/libc10_cuda.so", "/a/libtorch_cuda.so"]).is_none()
        );
        assert!(conflict(&["/a/libc10.so", "/a/libc10.so"]).is_none());
        assert!(conflict(&["/a/libc10.so", "/b/libc10.so"]).is_some());
        assert!(conflict(&["/a/libtorch_cpu.so", "/a/libtorch_cpu-1f2e.so.2"]).is_some());
    }

    #[test]
    fn this_process_has_one_libtorch() {
        let _ = tch::Tensor::zeros([1i64], (tch::Kind::Float, tch::Device::Cpu));
        assert_eq!(twice(), None);
    }
}
