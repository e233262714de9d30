//! Rows D21 and C09, the part of configs: whatever bytes a file or a `--set` holds, it is a config or it is refused.

use crate::{
    config_faults::{BASE, Known, from_bytes, with_set},
    support::{ended::infomax, figures, workspace::root},
};
use infomax::config::{Fault, Resolved, Sources, resolve};
use infomax_sdk::Key;
use std::{
    any::Any,
    fs,
    panic::catch_unwind,
    time::{Duration, Instant},
};

/// Pieces of TOML and of configs that byte mutations alone rarely make.
const WORDS: [&str; 28] = [
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    ".",
    "\"",
    "'''",
    "\"\"\"",
    "#",
    "\n",
    "\r\n",
    "\0",
    "nan",
    "-inf",
    "1e400",
    "0x",
    "99999999999999999999",
    "-1",
    "true",
    "1979-05-27T07:32:00Z",
    "\\u0000",
    "\u{feff}",
    "extends",
    "config",
    "name",
    "a.b.c.d.e.f",
];

/// How long one run of the loop may take; with `cargo faults` longer.
const SECONDS: u64 = 20;

/// What a call under `catch_unwind` gives.
type Caught = Result<Result<Resolved, Vec<Fault>>, Box<dyn Any + Send>>;

fn corpus() -> Vec<Vec<u8>> {
    let folder = root().join("tests/corpus/config");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// A file of the corpus, changed in a way that the key decides.
fn mutated(corpus: &[Vec<u8>], key: Key) -> Vec<u8> {
    let mut rng = key.rng();
    let mut below = |n: usize| rng.below(n.max(1) as u64) as usize;
    let mut bytes = corpus[below(corpus.len())].clone();
    for _ in 0..1 + below(4) {
        let (at, length) = (below(bytes.len() + 1), below(12));
        let end = (at + length).min(bytes.len());
        match below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << below(8),
            1 => drop(bytes.splice(at..at, WORDS[below(WORDS.len())].bytes())),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].repeat(1 + below(40));
                drop(bytes.splice(at..at, piece));
            }
            4 => {
                let other = &corpus[below(corpus.len())];
                let from = below(other.len());
                let piece = other[from..(from + below(60)).min(other.len())].to_vec();
                drop(bytes.splice(at..at, piece));
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Makes sure of a config that reads back to the same bytes, or of faults that say something; tells which.
fn is_sound(bytes: &[u8], caught: Caught) -> bool {
    let shown = || bytes.escape_ascii().to_string();
    match caught.unwrap_or_else(|_| panic!("a panic on {}", shown())) {
        Ok(resolved) => {
            let again = from_bytes(resolved.toml.as_bytes()).unwrap_or_else(|faults| panic!("{}: {faults:?}", shown()));
            assert_eq!(again.toml, resolved.toml, "{}", shown());
            true
        }
        Err(faults) => {
            assert!(!faults.is_empty() && faults.len() <= 200, "{} faults on {}", faults.len(), shown());
            assert!(faults.iter().all(|fault| !fault.message.is_empty()), "{faults:?} on {}", shown());
            false
        }
    }
}

#[test]
fn d21_mutated_configs_are_read_or_refused() {
    let corpus = corpus();
    assert!(corpus.len() >= 5);
    for bytes in &corpus {
        from_bytes(bytes).unwrap_or_else(|faults| panic!("{}: {faults:#?}", bytes.escape_ascii()));
    }
    let whole = figures::is_whole();
    let (limit, most) = if whole { (60 * SECONDS, 1_000_000) } else { (SECONDS, 20_000) };
    let (start, limit) = (Instant::now(), Duration::from_secs(limit));
    let (mut executions, mut sound) = (0, 0);
    while executions < most && start.elapsed() < limit {
        let bytes = mutated(&corpus, Key::new(21).purpose("config").fold(executions as u64));
        sound += usize::from(is_sound(&bytes, catch_unwind(|| from_bytes(&bytes))));
        executions += 1;
        if bytes.len() % 8 != 0 {
            continue;
        }
        // A piece of it as an assignment, behind a key, and in the environment.
        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
        for setting in [text.clone(), format!("loss.config={text}"), format!("train.seed={text}")] {
            sound += usize::from(is_sound(&bytes, catch_unwind(|| with_set(BASE, &[setting]))));
        }
        let environment = vec![("INFOMAX__TRAIN__SEED".to_owned(), text.clone()), (format!("INFOMAX__{text}"), text)];
        let sources = Sources { environment, ..Sources::default() };
        sound += usize::from(is_sound(&bytes, catch_unwind(|| resolve(&sources, &Known))));
        executions += 4;
    }
    println!("D21: {} files in the corpus, {sound} of {executions} mutated configs still sound", corpus.len());
    assert!(executions >= 1000, "only {executions} in {limit:?}");
    assert!(sound > 0, "no mutation was mild enough to say anything");
    figures::figure("D21", "mutated configs read or refused, none a crash", executions, executions);
}

#[test]
fn c09_hostile_files_are_refused_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let most = 1 << 20;
    let files = [
        ("empty", String::new()),
        ("keys", (0..60_000).map(|n| format!("key{n} = 1\n")).collect()),
        ("deep", format!("a = {}", "[".repeat(most - 10))),
        ("dotted", format!("[{}a]", "a.".repeat(most / 2 - 10))),
        ("list", format!("a = [{}]", "1,".repeat(most / 2 - 10))),
        ("large", "# \n".repeat(most)),
    ];
    let mut peaks = Vec::new();
    for (name, text) in files {
        fs::write(folder.path().join("a.toml"), text).unwrap();
        let ended = infomax(folder.path(), &["config", "show", "a.toml"]);
        assert_eq!(ended.code, 2, "{name}: {}", ended.seen().chars().take(500).collect::<String>());
        peaks.push((name, ended.peak_mib));
    }
    println!("C09: peak MiB {peaks:?}");
    let empty = peaks[0].1;
    // A MiB of keys or of numbers has a path and a place for each.
    assert!(peaks.iter().all(|(_, peak)| peak - empty < 600), "{peaks:?}");
    figures::figure("C09", "hostile files refused in bounded memory", peaks.len(), peaks.len());
}
