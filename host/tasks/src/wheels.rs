//! The packages that libtorch comes in, each with the one hash that is accepted, whatever Python runs pip.

/// libtorch's version.
pub const TORCH: &str = "2.11.0";
/// What pip is told of the machine, so that every user gets the same files.
pub const PYTHON: &str = "3.12";

/// A package, its version and the SHA-256 of its file.
pub struct Wheel(pub &'static str, pub &'static str, pub &'static str);

/// What a run on the CPU needs: libtorch_cpu.so links the CUDA runtime and CUPTI.
pub const CPU: &[Wheel] = &[
    Wheel("torch", TORCH, "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756"),
    Wheel("nvidia-cuda-runtime", "13.0.96", "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"),
    Wheel("nvidia-cuda-cupti", "13.0.85", "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"),
];

/// What a run on a GPU needs besides: the versions that torch's and cuda-toolkit 13.0.2's metadata ask for.
pub const CUDA: &[Wheel] = &[
    Wheel("nvidia-cublas", "13.1.0.3", "ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171"),
    Wheel("nvidia-cuda-nvrtc", "13.0.88", "ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575"),
    Wheel("nvidia-cudnn-cu13", "9.19.0.56", "d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf"),
    Wheel("nvidia-cufft", "12.0.0.61", "6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3"),
    Wheel("nvidia-cufile", "1.15.1.6", "08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44"),
    Wheel("nvidia-curand", "10.4.0.35", "1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc"),
    Wheel("nvidia-cusolver", "12.0.4.66", "0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112"),
    Wheel("nvidia-cusparse", "12.6.3.3", "2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b"),
    Wheel("nvidia-cusparselt-cu13", "0.8.0", "25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd"),
    Wheel("nvidia-nccl-cu13", "2.28.9", "e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42"),
    Wheel("nvidia-nvjitlink", "13.0.88", "13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b"),
    Wheel("nvidia-nvshmem-cu13", "3.4.5", "290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80"),
    Wheel("nvidia-nvtx", "13.0.85", "4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4"),
];

/// The wheels of a set.
pub fn of(cuda: bool) -> impl Iterator<Item = &'static Wheel> {
    CPU.iter().chain(if cuda { CUDA } else { &[] })
}

/// A set as pip's requirements, hashes included.
pub fn requirements(cuda: bool) -> String {
    of(cuda).map(|Wheel(name, version, hash)| format!("{name}=={version} --hash=sha256:{hash}\n")).collect()
}

/// The platforms that a wheel may be built for: every glibc from 2.17 to 2.28.
pub fn platforms() -> impl Iterator<Item = String> {
    (17..=28).rev().map(|minor| format!("manylinux_2_{minor}_x86_64")).chain(["manylinux2014_x86_64".to_owned()])
}
