//! The boundary only grows: every table's fields, in order, against the list in `layout.txt`. A changed or missing line
//! breaks plugins that are out there; new lines go to the end of a table, with the minor version raised.

use abi_stable::{StableAbi, type_layout::TypeLayout};
use infomax_abi::{
    ABI_VERSION, AugmentationVTableRef, BatchVTableRef, DatasetVTableRef, EncoderVTableRef, FfiAugmentation,
    FfiDataset, FfiEncoder, FfiError, FfiFacts, FfiFeature, FfiGradients, FfiImage, FfiLoss, FfiNamedTensor, FfiSample,
    FfiTensor, FfiTensorFacts, FfiTerm, FfiTerms, FfiValue, FfiView, HostServicesRef, LossVTableRef, OperatorTableRef,
    PluginModuleRef,
};
use std::fmt::Write;

fn layouts() -> Vec<&'static TypeLayout> {
    vec![
        PluginModuleRef::LAYOUT,
        HostServicesRef::LAYOUT,
        DatasetVTableRef::LAYOUT,
        AugmentationVTableRef::LAYOUT,
        EncoderVTableRef::LAYOUT,
        LossVTableRef::LAYOUT,
        FfiDataset::LAYOUT,
        FfiAugmentation::LAYOUT,
        FfiEncoder::LAYOUT,
        FfiLoss::LAYOUT,
        FfiError::LAYOUT,
        FfiSample::LAYOUT,
        <FfiImage<'static>>::LAYOUT,
        <FfiView<'static>>::LAYOUT,
        FfiTensor::LAYOUT,
        FfiNamedTensor::LAYOUT,
        FfiFeature::LAYOUT,
        <FfiFacts<'static>>::LAYOUT,
        FfiTerm::LAYOUT,
        FfiTerms::LAYOUT,
        FfiGradients::LAYOUT,
        OperatorTableRef::LAYOUT,
        FfiValue::LAYOUT,
        FfiTensorFacts::LAYOUT,
        BatchVTableRef::LAYOUT,
    ]
}

#[test]
fn layout_is_the_recorded_one() {
    let [major, minor] = ABI_VERSION;
    let mut now = format!("interface {major}.{minor}\n");
    for layout in layouts() {
        describe(layout, &mut now);
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/layout.txt");
    if std::env::var_os("INFOMAX_RECORD_LAYOUT").is_some() {
        std::fs::write(file, &now).expect("the record can be written");
    }
    let recorded = std::fs::read_to_string(file).expect("the record is in the repository");
    for (line, (now, recorded)) in now.lines().zip(recorded.lines()).enumerate() {
        assert_eq!(now, recorded, "line {} of layout.txt: the boundary changed", line + 1);
    }
    assert_eq!(now.lines().count(), recorded.lines().count(), "record appended fields with INFOMAX_RECORD_LAYOUT=1");
}

#[test]
fn version_is_the_packages_and_the_manifests() {
    let version = format!("{}.{}", ABI_VERSION[0], ABI_VERSION[1]);
    assert!(env!("CARGO_PKG_VERSION").starts_with(&format!("{version}.")));
    assert_eq!(ABI_VERSION, infomax_manifest::ABI_VERSION);
}

fn describe(layout: &'static TypeLayout, text: &mut String) {
    writeln!(text, "\n{} size {} align {}", layout.full_type(), layout.size(), layout.alignment()).expect("text grows");
    fields(layout, text, 0);
}

/// The fields with their types and signatures; a reference to a table is expanded to the table.
fn fields(layout: &'static TypeLayout, text: &mut String, depth: usize) {
    let table = layout.phantom_fields().iter().map(|field| field.layout()).find(|inner| inner.is_prefix_kind());
    if let Some(table) = table {
        return fields(table, text, depth);
    }
    for field in layout.get_fields().into_iter().flat_map(|fields| fields.iter()) {
        let indent = "  ".repeat(depth + 1);
        writeln!(text, "{indent}{}: {}", field.name(), field.full_type()).expect("text grows");
        for function in field.function_range().iter() {
            let text_of = function.to_string();
            let signature = text_of.split("lifetime indices").next().unwrap_or_default();
            let words: Vec<_> = signature.split_whitespace().collect();
            writeln!(text, "{indent}  {}", words.join(" ")).expect("text grows");
        }
    }
}
