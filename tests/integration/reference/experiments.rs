//! The headers of shipped experiments: the command, what it needs, what it gives.

use super::configs::shipped;
use crate::support::workspace::{built, root};
use std::{fs, process::Command};

/// The part of an experiment's header behind `command:`, `hardware:` or `expected:`, its following lines joined.
fn said(name: &str, what: &str) -> String {
    let path = root().join(format!("configs/experiments/{name}.toml"));
    let text = fs::read_to_string(&path).unwrap();
    let header = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    let is_label = |line: &str| ["command:", "hardware:", "expected:"].iter().any(|label| line.starts_with(label));
    let mut lines = header.skip_while(|line| !line.starts_with(&format!("{what}:")));
    let first = lines.next().unwrap_or_else(|| panic!("{}: its header has no line `# {what}: …`", path.display()));
    let rest = lines.take_while(|line| !is_label(line) && !line.is_empty());
    let joined = [&first[what.len() + 1..]].into_iter().chain(rest).map(|line| line.trim_end_matches('\\').trim());
    joined.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_experiment_says_its_command_hardware_and_expected_result() {
    let names = shipped("experiments");
    assert!(names.len() >= 9, "{names:?}");
    for name in names {
        let text = fs::read_to_string(root().join(format!("configs/experiments/{name}.toml"))).unwrap();
        let title = text.lines().next().unwrap_or_default().trim_start_matches(['#', ' ']);
        assert!(title.split(' ').count() >= 5, "{name}: `{title}` says too little");
        let hardware = said(&name, "hardware");
        assert!(["CPU", "GPU", "V100"].iter().any(|device| hardware.contains(device)), "{name}: {hardware}");
        let expected = said(&name, "expected");
        let in_numbers = expected.contains('%') && expected.chars().any(|c| c.is_ascii_digit());
        assert!(
            in_numbers || expected.contains("README"),
            "{name}: `{expected}` names neither a number nor where it is"
        );
    }
}

/// The command of the header, word for word, but that it shows the config in place of training.
#[test]
fn every_experiments_command_resolves() {
    for name in shipped("experiments") {
        let command = said(&name, "command");
        let own = format!("infomax train configs/experiments/{name}.toml");
        let rest = command.strip_prefix(&own).unwrap_or_else(|| panic!("{name}: `{command}` does not begin `{own}`"));
        let binary = built().join("infomax").display().to_string();
        let shown = format!("'{binary}' config show configs/experiments/{name}.toml{rest}");
        let output = Command::new("sh").args(["-c", &shown]).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
