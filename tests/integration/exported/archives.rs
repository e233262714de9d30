//! Damaged and hostile files: cut, with bits flipped, with parts of their JSON exchanged. Each is refused or trains; none crashes.

use super::recorded::kept;
use crate::support::{
    figures::{figure, is_whole},
    workspace::component,
};
use infomax::{encoder::ForeignEncoder, plugin::Kind};
use infomax_sdk::{EncoderInput, Key, KeyedRng, Mode, View, requests::Request};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Cursor, Read, Write},
    path::Path,
};
use tch::Tensor;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

const ALL: u64 = 20_000;
const SOME: u64 = 1_500;
const SIDE: u32 = 32;

fn request(file: &Path) -> Request {
    let view = View { name: "view".into(), height: SIDE, width: SIDE, group: 0 };
    let encoder = EncoderInput { views: vec![view], eval_size: [SIDE, SIDE], ..EncoderInput::default() };
    Request { config: json!({ "file": file }), encoder, device: "cpu".into(), ..Request::default() }
}

/// The files of an archive.
fn members(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let count = zip.len();
    let mut read = |at: usize| {
        let mut entry = zip.by_index(at).unwrap();
        let (name, mut bytes) = (entry.name().unwrap().to_string(), Vec::new());
        entry.read_to_end(&mut bytes).unwrap();
        (name, bytes)
    };
    (0..count).map(&mut read).collect()
}

fn packed(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Exchanges a part of a JSON text, somewhere.
fn exchanged(value: &mut Value, rng: &mut KeyedRng) {
    let odd = [
        json!(null),
        json!(-1),
        json!(0),
        json!(1_000_003),
        json!(i64::MAX),
        json!(1e308),
        json!("x"),
        json!(""),
        json!([]),
        json!({}),
        json!(true),
        json!({ "as_int": 3 }),
        json!({ "as_tensor": { "name": "input" } }),
        json!({ "as_none": true }),
        json!("torch.ops.aten.from_file.default"),
        json!("torch.ops.aten.as_strided.default"),
    ];
    let mut at = value;
    for _ in 0..64 {
        let deeper = match at {
            Value::Array(items) if !items.is_empty() => items.len() as u64,
            Value::Object(fields) if !fields.is_empty() => fields.len() as u64,
            _ => break,
        };
        if rng.below(12) == 0 {
            break;
        }
        let pick = rng.below(deeper) as usize;
        at = match at {
            Value::Array(items) => &mut items[pick],
            Value::Object(fields) => fields.values_mut().nth(pick).unwrap(),
            _ => unreachable!("looked at above"),
        };
    }
    *at = odd[rng.below(odd.len() as u64) as usize].clone();
}

/// Another archive out of a whole one.
fn changed(whole: &[u8], rng: &mut KeyedRng) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    match rng.below(4) {
        0 => bytes.truncate(rng.below(whole.len() as u64) as usize),
        1 => {
            for _ in 0..=rng.below(8) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << rng.below(8);
            }
        }
        // Whole again as an archive: checksums and sizes are right, what it says is not.
        _ => {
            let mut members = members(whole);
            let json: Vec<usize> = (0..members.len()).filter(|&at| members[at].0.ends_with(".json")).collect();
            let at = json[rng.below(json.len() as u64) as usize];
            let mut value: Value = serde_json::from_slice(&members[at].1).unwrap_or_default();
            (0..=rng.below(2)).for_each(|_| exchanged(&mut value, rng));
            members[at].1 = serde_json::to_vec(&value).unwrap();
            bytes = packed(&members);
        }
    }
    bytes
}

/// What becomes of a file: refused, failed in its step, or trained.
fn tried(file: &Path) -> &'static str {
    let component = component(Kind::Encoder, "exported");
    let Ok(mut encoder) = ForeignEncoder::create(&component, &request(file)) else { return "refused" };
    let images = Tensor::rand([4, 3, i64::from(SIDE), i64::from(SIDE)], (tch::Kind::Float, tch::Device::Cpu));
    match encoder.forward(&[images], Mode::Train) {
        Ok(_) => "trained",
        Err(_) => "failed in its step",
    }
}

#[test]
fn damaged_and_hostile_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(kept("").join("small.pt2")).unwrap();
    assert_eq!(tried(&kept("").join("small.pt2")), "trained");
    let file = folder.path().join("changed.pt2");
    let mut counts = std::collections::BTreeMap::new();
    let count = if is_whole() { ALL } else { SOME };
    for case in 0..count {
        let mut rng = Key::new(19).fold(case).rng();
        fs::write(&file, changed(&whole, &mut rng)).unwrap();
        fs::write(folder.path().join("case"), case.to_string()).unwrap();
        *counts.entry(tried(&file)).or_insert(0_u64) += 1;
    }
    println!("{counts:?}");
    assert!(counts["refused"] > count / 2, "{counts:?}");
    figure("PT2", "damaged or hostile files without a crash", count as usize, count as usize);
}

/// The pickle that PyTorch puts beside is not looked at, and neither is anything else that is not asked for.
#[test]
fn a_pickle_inside_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut members = members(&fs::read(kept("").join("small.pt2")).unwrap());
    for (name, bytes) in &mut members {
        if name.ends_with("sample_inputs/model.pt") {
            *bytes = b"cos\nsystem\n(S'exit'\ntR.".to_vec();
        }
    }
    let file = folder.path().join("pickled.pt2");
    fs::write(&file, packed(&members)).unwrap();
    assert_eq!(tried(&file), "trained");
    for (name, bytes) in &mut members {
        if name.ends_with("model_weights_config.json") {
            *bytes = String::from_utf8(bytes.clone())
                .unwrap()
                .replace("\"use_pickle\": false", "\"use_pickle\": true")
                .into_bytes();
        }
    }
    fs::write(&file, packed(&members)).unwrap();
    let refused = ForeignEncoder::create(&component(Kind::Encoder, "exported"), &request(&file));
    let Err(error) = refused else { panic!("a pickled tensor is read") };
    assert!(error.fault().to_string().contains("pickles are never opened"), "{}", error.fault());
}
