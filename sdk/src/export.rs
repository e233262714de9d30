//! `export_plugin!`: turns a crate's components into a plugin library.

/// Exports components under their names. Kinds that a library lacks are left out; the order is fixed.
///
/// The build script writes the manifest (see `infomax_manifest::Builder`) with the same names.
///
/// ```ignore
/// infomax_sdk::export_plugin! {
///     datasets: { "shapes" => shapes::Shapes },
///     augmentations: { "none" => none::NoAugmentation },
///     encoders: { "amdim" => encoder::AmdimEncoder },
///     losses: { "amdim" => loss::AmdimLoss },
/// }
/// ```
#[macro_export]
macro_rules! export_plugin {
    (
        $(datasets: { $($dataset:literal => $Dataset:ty),* $(,)? } $(,)?)?
        $(augmentations: { $($augmentation:literal => $Augmentation:ty),* $(,)? } $(,)?)?
        $(encoders: { $($encoder:literal => $Encoder:ty),* $(,)? } $(,)?)?
        $(losses: { $($loss:literal => $Loss:ty),* $(,)? } $(,)?)?
    ) => {
        /// This library as the host sees it: what its conformance test checks.
        #[derive(Clone, Copy, Debug)]
        pub struct InfomaxPlugin;

        const _: () = {
            use $crate::abi::{self, abi_stable::{library, std_types::{RStr, RString}}};
            use $crate::ffi::module::{answer, unknown};

            /// Read from the file by the host, without loading it.
            #[used]
            #[unsafe(no_mangle)]
            #[unsafe(link_section = ".infomax.manifest")]
            pub static INFOMAX_MANIFEST: [u8; MANIFEST.len()] = *MANIFEST;
            const MANIFEST: &[u8; include_bytes!(concat!(env!("OUT_DIR"), "/infomax-manifest.json")).len()] =
                include_bytes!(concat!(env!("OUT_DIR"), "/infomax-manifest.json"));

            extern "C" fn describe(kind: RStr<'_>, name: RStr<'_>, request: RStr<'_>) -> abi::FfiResult<RString> {
                answer(request, |request| {
                    let _ = &request;
                    match (kind.as_str(), name.as_str()) {
                        $($(("dataset", $dataset) => $crate::ffi::dataset::describe::<$Dataset>(request),)*)?
                        $($(("augmentation", $augmentation) =>
                            $crate::ffi::augmentation::describe::<$Augmentation>(request),)*)?
                        $($(("encoder", $encoder) => $crate::ffi::encoder::describe::<$Encoder>(request),)*)?
                        $($(("loss", $loss) => $crate::ffi::loss::describe::<$Loss>(request),)*)?
                        (kind, name) => unknown(kind, name),
                    }
                    .map(RString::from)
                })
            }

            extern "C" fn create_dataset(name: RStr<'_>, request: RStr<'_>) -> abi::FfiResult<abi::FfiDataset> {
                answer(request, |_request| match name.as_str() {
                    $($($dataset => $crate::ffi::dataset::create::<$Dataset>(_request),)*)?
                    name => unknown("dataset", name),
                })
            }

            extern "C" fn create_augmentation(name: RStr<'_>, request: RStr<'_>) -> abi::FfiResult<abi::FfiAugmentation> {
                answer(request, |_request| match name.as_str() {
                    $($($augmentation => $crate::ffi::augmentation::create::<$Augmentation>(_request),)*)?
                    name => unknown("augmentation", name),
                })
            }

            extern "C" fn create_encoder(name: RStr<'_>, request: RStr<'_>) -> abi::FfiResult<abi::FfiEncoder> {
                answer(request, |_request| match name.as_str() {
                    $($($encoder => $crate::ffi::encoder::create::<$Encoder>(_request),)*)?
                    name => unknown("encoder", name),
                })
            }

            extern "C" fn create_loss(name: RStr<'_>, request: RStr<'_>) -> abi::FfiResult<abi::FfiLoss> {
                answer(request, |_request| match name.as_str() {
                    $($($loss => $crate::ffi::loss::create::<$Loss>(_request),)*)?
                    name => unknown("loss", name),
                })
            }

            impl InfomaxPlugin {
                /// The table of functions that the host calls.
                pub fn module() -> abi::PluginModuleRef {
                    module()
                }

                /// What the library says of itself, as JSON.
                pub const MANIFEST: &'static [u8] = MANIFEST;
            }

            fn module() -> abi::PluginModuleRef {
                $crate::ffi::module::entry(describe, create_dataset, create_augmentation, create_encoder, create_loss)
            }

            extern "C" fn construct() -> library::RootModuleResult {
                library::__call_root_module_loader(module)
            }

            /// abi_stable's own name for the header that a loader looks up.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            pub static LIB_HEADER: library::LibHeader = {
                // SAFETY: `construct` gives the module of this very type.
                unsafe {
                    library::LibHeader::from_constructor::<abi::PluginModuleRef>(construct, library::CheckTypeLayout::Yes)
                }
            };
        };
    };
}
