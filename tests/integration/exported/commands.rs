//! What commands say of files of torch.export, and what is refused with which words.

use super::recorded::kept;
use crate::{
    cuda::standin::{On, case},
    support::{
        binary::{errors, run},
        python::python_with,
    },
};
use std::{fs, process::Command};

fn file(name: &str) -> String {
    kept("").join(format!("{name}.pt2")).to_string_lossy().into_owned()
}

#[test]
fn files_are_inspected_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let inspected = said(&["plugin", "inspect", &file("small")]);
    for part in [
        "encoder of torch 2.11",
        "takes images: * × 3 × 32 × 32",
        "gives r1: * × 16",
        "gives r7: * × 16 × 7 × 7",
        "aten.conv2d.default",
    ] {
        assert!(inspected.contains(part), "`{part}` is not in {inspected}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&said(&["plugin", "inspect", "--json", &file("projected")])).unwrap();
    assert_eq!((json["kind"].as_str(), json["inputs"][1]["name"].as_str()), (Some("loss"), Some("view1.r1")));
    for (name, component) in [
        ("small", "encoder `exported`"),
        ("projected", "loss `exported`"),
        ("queue-16", "loss `exported`"),
        ("centred", "loss `exported`"),
        ("noisy", "loss `exported`"),
    ] {
        let checked = said(&["plugin", "check", &file(name)]);
        assert!(checked.contains(component) && checked.contains(" 0 failed"), "{checked}");
    }
    let parts = said(&["plugin", "check", &file("agreement"), "--set", "loss.exported.mean_over_images=true"]);
    assert!(parts.contains("row ranges"), "{parts}");
    let named = said(&[
        "plugin",
        "check",
        &file("plain-loss"),
        "--kind",
        "loss",
        "--set",
        "loss.exported.inputs=[\"view0.r1\", \"view1.r1\"]",
    ]);
    assert!(named.contains(" 0 failed"), "{named}");
    let other = run(folder.path(), &["plugin", "inspect", "nothing.pt2"]);
    assert_eq!(other.status.code(), Some(1), "{}", String::from_utf8_lossy(&other.stderr));
}

#[test]
fn files_that_do_not_fit_are_refused_in_words() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cut.pt2"), &fs::read(file("small")).unwrap()[..2000]).unwrap();
    fs::write(folder.path().join("text.pt2"), "no archive").unwrap();
    let own = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let encoder = |file: &str, more: &str| ("encoder", format!("{{ file = \"{file}\"{more} }}"));
    let loss = |file: &str, more: &str| ("loss", format!("{{ file = \"{file}\"{more} }}"));
    let cases = [
        encoder(&file("evaluation"), ""),
        encoder(&file("projected"), ""),
        encoder(&file("conv"), ""),
        encoder(&file("grey"), ""),
        encoder(&file("small-even"), ""),
        encoder(&own("cut.pt2"), ""),
        encoder(&own("text.pt2"), ""),
        encoder(&file("small"), ", outputs = [\"a\"]"),
        encoder(&file("small"), ", representation = \"r9\""),
        encoder(&file("small"), ", tags = [{ parameters = \"*.gamma\" }]"),
        loss(&file("projected"), ", mean_over_images = true"),
        loss(&file("queue-16"), ", mean_over_images = true"),
        loss(&file("ratio"), ", mean_over_images = true"),
        loss(&file("small"), ""),
        loss(&file("nce"), ""),
        loss(&file("projected"), ", inputs = [\"view0.r1\"]"),
        loss(&file("projected"), ", inputs = [\"view0.r1\", \"view5.r1\"]"),
        loss(&file("projected"), ", inputs = [\"view0.r1\", \"first\"]"),
        loss(&file("projected"), ", inputs = [\"view0.r9\", \"view1.r1\"]"),
    ];
    let mut told = String::new();
    for (kind, config) in cases {
        let mut settings = vec![("encoder.name", "exported"), ("loss.name", "exported")];
        let (small, projected) =
            (format!("{{ file = \"{}\" }}", file("small")), format!("{{ file = \"{}\" }}", file("projected")));
        settings.push(("encoder.config", if kind == "encoder" { &config } else { &small }));
        settings.push(("loss.config", if kind == "loss" { &config } else { &projected }));
        let uneven: &[(&str, &str)] = if config.contains("small-even") { &[("train.batch_size", "15")] } else { &[] };
        let output = case("refused", "nt-xent", &settings).train(folder.path(), On::Cpu, 2, uneven);
        let text = errors(&output, folder.path()).replace(&*kept("").to_string_lossy(), "[kept]");
        let code = output.status.code();
        let text = text.lines().filter(|line| !line.contains("libinfomax_exported")).collect::<Vec<_>>().join("\n");
        told.push_str(&format!("{kind}.config = {}\nexit {code:?}\n{text}\n\n", shown(&config, folder.path())));
        let _ = fs::remove_dir_all(folder.path().join("runs"));
    }
    insta::assert_snapshot!(told);
}

fn shown(config: &str, folder: &std::path::Path) -> String {
    config.replace(&*kept("").to_string_lossy(), "[kept]").replace(&*folder.to_string_lossy(), "[folder]")
}

/// The script that is handed out writes files that are trained, and what comes out goes back into the very module.
#[test]
fn the_script_writes_files_whose_weights_go_back_into_the_module() {
    let Some(python) = python_with("torch, safetensors") else { return };
    let folder = tempfile::tempdir().unwrap();
    let script = run(folder.path(), &["plugin", "python"]);
    assert!(script.status.success());
    fs::write(folder.path().join("infomax_export.py"), &script.stdout).unwrap();
    let module = "import torch\nfrom torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        \
                  self.body = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.AdaptiveAvgPool2d(1))\n\n    \
                  def forward(self, x):\n        return self.body(x).flatten(1)\n";
    fs::write(folder.path().join("net.py"), module).unwrap();
    let ran = |code: &str| {
        let output = Command::new(&python).args(["-c", code]).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    ran("from net import Net\nfrom infomax_export import export_encoder\nexport_encoder(Net(), 32, 'net.pt2')");
    let settings = [
        ("encoder.name", "exported"),
        ("encoder.config", "{ file = \"net.pt2\" }"),
        ("loss.config", "{ projector_hidden = 16, projector_dim = 16 }"),
    ];
    let trained = case("script", "nt-xent", &settings).train(folder.path(), On::Cpu, 3, &[]);
    assert!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    ran(
        "from net import Net\nfrom safetensors.torch import load_file\nNet().load_state_dict(load_file('runs/run/encoder.safetensors'), strict=True)",
    );
}
