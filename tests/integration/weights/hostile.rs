//! Files that are not what they say, or mean harm: refused by what is in them, nothing executed, memory bounded.

use super::pickles::{Saved, archive, archive_with, pickle, pickle_of_one, storages, stream};
use crate::support::{ended::infomax, figures::figure};
use infomax::checkpoint::{Published, read_tensors};
use infomax_sdk::Key;
use std::{fs, path::Path};
use zip::CompressionMethod;

/// What the binary says of a file of weights, and the most memory it took.
fn export(folder: &Path, bytes: &[u8]) -> crate::support::ended::Ended {
    fs::write(folder.join("file"), bytes).unwrap();
    infomax(folder, &["checkpoint", "export", "file", "--out", "out.safetensors"])
}

/// A text in a pickle.
fn word(text: &str) -> Vec<u8> {
    [b"X".as_slice(), &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Pickles that would run a command if anything in them were executed.
fn attacks(canary: &str) -> Vec<(&'static str, Vec<u8>)> {
    let command = word(&format!("touch {canary}"));
    let join = |parts: &[&[u8]]| parts.concat();
    vec![
        ("GLOBAL", join(&[b"\x80\x02cposix\nsystem\n", &command, b"\x85R."])),
        ("nt", join(&[b"\x80\x02cnt\nsystem\n", &command, b"\x85R."])),
        ("subprocess", join(&[b"\x80\x02csubprocess\nPopen\n", &command, b"\x85R."])),
        ("eval", join(&[b"\x80\x02cbuiltins\neval\n", &word(&format!("open('{canary}','w')")), b"\x85R."])),
        ("getattr", join(&[b"\x80\x02cbuiltins\ngetattr\n", &word("x"), b"\x85R."])),
        ("STACK_GLOBAL", join(&[b"\x80\x04", &word("os"), &word("system"), b"\x93", &command, b"\x85R."])),
        ("INST", join(&[b"(", &command, b"ios\nsystem\n."])),
        ("OBJ", join(&[b"(cos\nsystem\n", &command, b"o."])),
        ("NEWOBJ", join(&[b"\x80\x02ccollections\nOrderedDict\n)\x81."])),
        ("BUILD of a tensor's state", join(&[b"\x80\x02K\x01}", &word("__setstate__"), b"cos\nsystem\nsb."])),
        ("torch.load", join(&[b"\x80\x02ctorch\nload\n", &command, b"\x85R."])),
        ("torch.hub", join(&[b"\x80\x02ctorch.hub\nload\n", &command, b"\x85R."])),
        ("a submodule of a known one", join(&[b"\x80\x02ccollections\nnamedtuple\n", &command, b"\x85R."])),
        ("a dotted name", join(&[b"\x80\x04", &word("torch._utils"), &word("sys.modules"), b"\x93."])),
        ("PERSID", b"Pos.system\n.".to_vec()),
        ("a call inside a persistent id", join(&[b"\x80\x02(", &word("storage"), b"cos\nsystem\ntQ."])),
        ("EXT", b"\x80\x02\x82\x01.".to_vec()),
        ("a call of what is no name", join(&[b"\x80\x02", &command, b")R."])),
    ]
}

#[test]
fn k16_a_hostile_pickle_opens_nothing_and_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let canary = folder.path().join("canary");
    let attacks = attacks(&canary.display().to_string());
    let mut refused = 0;
    let mut tried = 0;
    for (name, attack) in &attacks {
        // Alone, in an archive, and in the place of a published model.
        let mut inside = b"\x80\x02}".to_vec();
        inside.extend(word("model"));
        inside.extend(&attack[if attack.starts_with(b"\x80") { 2 } else { 0 }..attack.len() - 1]);
        inside.extend(b"s.");
        for bytes in [attack.clone(), archive(attack, &[]), archive(&inside, &[])] {
            let ended = export(folder.path(), &bytes);
            tried += 1;
            refused += usize::from(ended.code == 5 && ended.err.contains("weights can't be read from `file`"));
            assert!(ended.code == 5 && ended.err.contains("hint: "), "{name}: {}", ended.seen());
            assert!(!canary.exists(), "{name} was executed");
        }
    }
    // Beside tensors it is passed over, and they are read.
    let good = [Saved::new("conv1.weight", &[4], vec![1.0; 4])];
    for (name, attack) in
        attacks.iter().filter(|(name, _)| !["PERSID", "EXT", "a call of what is no name"].contains(name))
    {
        let value = &attack[if attack.starts_with(b"\x80") { 2 } else { 0 }..attack.len() - 1];
        if name.starts_with("BUILD") {
            continue; // of a number, which no pickle does
        }
        let whole = pickle(&good);
        let beside = [&whole[..whole.len() - 1], &word("beside"), value, b"s."].concat();
        let ended = export(folder.path(), &archive(&beside, &storages(&good)));
        assert!(ended.code == 0 && !canary.exists(), "{name}: {}", ended.seen());
        fs::remove_file(folder.path().join("out.safetensors")).unwrap();
    }
    let named = export(folder.path(), &archive(&attacks[0].1, &[]));
    assert!(named.err.contains("`posix.system`, which is not data and is not executed"), "{}", named.seen());
    figure("K16", "hostile pickles refused, none executed", refused, tried);
}

#[test]
fn k16_other_files_are_named_for_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let script = archive_with(
        b"\x80\x02}.",
        &[],
        &[("amdim/code/__torch__.py", b"def f(): pass".to_vec())],
        CompressionMethod::Stored,
    );
    let mut plain = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    plain
        .start_file("notes.txt", zip::write::SimpleFileOptions::default().compression_method(CompressionMethod::Stored))
        .unwrap();
    let plain = plain.finish().unwrap().into_inner();
    let cases: [(&[u8], &str); 11] = [
        (b"", "the file is empty"),
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"\x7fELF\x02\x01", "a program or a library"),
        (b"\x1f\x8b\x08\x00", "compressed with gzip"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"some words", "no safetensors file"),
        (b"(dp0\nVmodel\np1\nI1\ns.", "written in the text protocol"),
        (b"L119547037146038801333356L\n.I1001\n.(dp0\n.\x00\x01\xff", "written in the text protocol"),
        (&script, "a TorchScript program"),
        (&plain, "none of `torch.save`"),
    ];
    for (bytes, words) in cases {
        let ended = export(folder.path(), bytes);
        assert!(
            ended.code == 5 && ended.err.contains(words) && ended.err.contains("hint: "),
            "{words}: {}",
            ended.seen()
        );
    }
    figure("K16", "files named for what they are", cases.len(), cases.len());
}

/// Cut anywhere, or grown without end.
#[test]
fn k16_damaged_and_swollen_files_are_refused_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let usual = export(folder.path(), b"").peak_mib;
    let tensors = [Saved::new("encoder.layer_list.0.conv.weight", &[4], vec![0.0; 4])];
    let good = archive(&pickle(&tensors), &storages(&tensors));
    for bytes in [&good, &stream(&tensors)] {
        for length in (0..bytes.len()).step_by(10) {
            assert!(Published::read(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
    }
    // A list that is put into itself twice, thirty times over; a text that claims to be huge; marks without end.
    let mut laughs = b"\x80\x02]q\x00".to_vec();
    for level in 0..30u8 {
        laughs.extend([b']', b'q', level + 1, b'h', level, b'a', b'h', level, b'a']);
    }
    laughs.push(b'.');
    let huge = [b"\x80\x04\x8d".as_slice(), &u64::MAX.to_le_bytes()].concat();
    let long = [b"\x80\x02\x8b".as_slice(), &u32::MAX.to_le_bytes()].concat();
    let marks = [b"\x80\x02".as_slice(), &[b'('; 3_000_000]].concat();
    let numbers = [b"\x80\x02]".as_slice(), &b"K\x01a".repeat(5_000_000)].concat();
    let compressed = archive_with(&pickle(&tensors), &storages(&tensors), &[], CompressionMethod::Stored);
    // What is used again is not copied again: a dictionary of the same pairs, calls with the same arguments, a storage's
    // name, and tensors of one storage.
    let ordered = b"\x80\x02ccollections\nOrderedDict\nq\x000";
    let pairs = [&b"h\x01".repeat(100_000)[..], b"eq\x020", &b"h\x00h\x02\x85R0".repeat(100_000), b"}."].concat();
    let pairs = [&ordered[..], b"](K\x01K\x01\x86q\x01", &pairs].concat();
    let calls = [&b"N".repeat(500_000)[..], b"tq\x030", &b"h\x00h\x03R0".repeat(100_000), b"}."].concat();
    let arguments = [&ordered[..], b"(", &calls].concat();
    let name = [&b"X"[..], &1_000_000u32.to_le_bytes(), &b"0".repeat(1_000_000), b"q\x040"].concat();
    let reference = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nh\x04X\x03\x00\x00\x00cpuK\x01tQ0".repeat(20_000);
    let keys = [b"\x80\x02", &name[..], &reference, b"}."].concat();
    let tensor = |i| Saved::new(&format!("encoder.t{i}"), &[1_000_000], vec![0.0]);
    let shared: Vec<Saved> = (0..2000).map(tensor).collect();
    let shared = archive(&pickle_of_one(&shared, 1_000_000), &[vec![0u8; 4_000_000]]);
    for (name, bytes) in [
        ("laughs", laughs),
        ("huge", huge),
        ("long", long),
        ("marks", marks),
        ("numbers", numbers),
        ("pairs", pairs),
        ("arguments", arguments),
        ("keys", keys),
        ("shared", shared),
    ] {
        for bytes in [bytes.clone(), archive(&bytes, &[])] {
            let ended = export(folder.path(), &bytes);
            assert_eq!(ended.code, 5, "{name}: {}", ended.seen());
            assert!(ended.peak_mib < usual + 600, "{name}: {} MiB, usually {usual}", ended.peak_mib);
        }
    }
    assert!(Published::read(&compressed).is_err(), "its encoder lacks nearly everything");
}

#[test]
fn k17_malicious_safetensors_are_refused_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let usual = export(folder.path(), b"").peak_mib;
    let file = |header: &str, data: usize| {
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
    };
    let tensor = |name: &str, from: u64, to: u64| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{from},{to}]}}", (to - from) / 4)
    };
    let many: Vec<String> = (0..1_000_000)
        .map(|i| format!("\"t{i}\":{{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}"))
        .collect();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a header of 2^63 bytes", [&(1u64 << 63).to_le_bytes()[..], b"{}"].concat()),
        ("a header of 2^64 - 1 bytes", [&u64::MAX.to_le_bytes()[..], b"{}"].concat()),
        ("a header longer than the file", [&1000u64.to_le_bytes()[..], b"{}"].concat()),
        ("overlapping tensors", file(&format!("{{{},{}}}", tensor("a", 0, 16), tensor("b", 8, 24)), 24)),
        ("offsets past the end", file(&format!("{{{}}}", tensor("a", 0, 1 << 40)), 16)),
        ("offsets that run backwards", file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]}}", 8)),
        (
            "a shape larger than the data",
            file("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,16]}}", 16),
        ),
        ("the same name twice", file(&format!("{{{},{}}}", tensor("a", 0, 8), tensor("a", 8, 16)), 16)),
        ("an unknown dtype", file("{\"a\":{\"dtype\":\"F31\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4)),
        ("a hole", file(&format!("{{{},{}}}", tensor("a", 0, 4), tensor("b", 8, 12)), 12)),
        ("deep JSON", file(&deep, 0)),
        ("no JSON", file("nonsense", 0)),
        ("a million tensors that are none of the encoder's", file(&format!("{{{}}}", many.join(",")), 0)),
    ];
    let mut refused = 0;
    for (name, bytes) in &cases {
        let ended = export(folder.path(), bytes);
        // A million empty tensors are a sound file, if an odd one: read, and written again.
        let is_sound = name.starts_with("a million");
        assert!(ended.code == if is_sound { 0 } else { 5 }, "{name}: {}", ended.seen());
        assert!(
            ended.peak_mib < usual + if is_sound { 3000 } else { 200 },
            "{name}: {} MiB, usually {usual}",
            ended.peak_mib
        );
        refused += usize::from(!is_sound);
        let _ = fs::remove_file(folder.path().join("out.safetensors"));
    }
    figure("K17", "malicious safetensors refused", refused, cases.len() - 1);
}

/// Random damage to sound files of all three containers: an answer, never a panic.
#[test]
fn d21_damaged_weights_never_panic() {
    let tensors = [
        Saved::new("encoder.module.layer_list.0.conv.weight", &[2, 3, 1, 1], vec![1.0; 6]),
        Saved::new("evaluator.block_glb_lin.block_forward.2.weight", &[2, 2], vec![2.0; 4]),
    ];
    let zip = archive(&pickle(&tensors), &storages(&tensors));
    let old = stream(&tensors);
    let list = [("a".to_owned(), tch::Tensor::from_slice(&[1f32, 2.0])), ("b".to_owned(), tch::Tensor::from(3i64))];
    let safe = infomax::checkpoint::write_tensors(&list, std::collections::HashMap::new()).unwrap();
    let rounds = if crate::support::figures::is_whole() { 100_000 } else { 10_000 };
    let mut rng = Key::new(21).purpose("damage").rng();
    for round in 0..rounds {
        let mut bytes = [&zip, &old, &safe][round % 3].clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len().max(1) as u64) as usize;
            if bytes.is_empty() {
                break;
            }
            match rng.below(5) {
                0 => bytes[at] = rng.below(256) as u8,
                1 => bytes[at] ^= 1 << rng.below(8),
                2 => drop(bytes.remove(at)),
                3 => bytes.insert(at, rng.below(256) as u8),
                _ => bytes.truncate(at + 1),
            }
        }
        if round % 3 == 2 {
            let _ = read_tensors(&bytes);
        } else {
            let _ = Published::read(&bytes);
        }
    }
    figure("D21", "damaged weights answered without a panic", rounds, rounds);
}
