//! A board that is asked for what it must not show, by whoever must not ask, and shows what somebody else wrote.

use super::page::{Shown, contents, shown, written};
use crate::support::figures::figure;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    path::Path,
    thread,
    time::{Duration, Instant},
};

const SECRET: &str = "a secret of somebody else's";
const EVIL: &str = "<img src=x onerror=alert(1)></script>\"'`&amp;";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), "good", "loss.name = \"amdim\"", 30).history(r#"{"at": 1, "how": "finished"}"#);
    fs::write(folder.path().join("secret.txt"), SECRET).unwrap();
    fs::write(folder.path().join("secret.png"), SECRET).unwrap();
    folder
}

/// Addresses of every kind that lead out of the folder of runs.
fn ways_out(outside: &Path) -> Vec<String> {
    let secret = outside.join("secret.txt").display().to_string();
    let mut names = vec![
        "../secret.txt".to_owned(),
        "..%2Fsecret.txt".to_owned(),
        "%2e%2e/secret.txt".to_owned(),
        "....//secret.txt".to_owned(),
        "..\\secret.txt".to_owned(),
        secret.clone(),
        format!("file://{secret}"),
        "/etc/passwd".to_owned(),
        "%00/etc/passwd".to_owned(),
        "runs/good/../../secret.txt".to_owned(),
        "runs/good%00".to_owned(),
        "runs/good/".to_owned(),
        "~".to_owned(),
        ".".to_owned(),
    ];
    names.extend(["runs/../secret.png", "..", "../../secret.png"].map(str::to_owned));
    let mut all = Vec::new();
    for name in names {
        all.extend([
            format!("/{name}"),
            format!("//{name}"),
            format!("/run?name={name}"),
            format!("/run?name={name}&live=0"),
            format!("/study?name={name}"),
            format!("/overlay?run={name}"),
            format!("/picture?name={name}&file=views.png"),
            format!("/picture?name=runs/good&file={name}"),
            format!("/picture?name=runs/good&file={name}.png"),
        ]);
    }
    all
}

#[test]
fn nothing_outside_the_folder_is_shown() {
    let folder = folder();
    let outside = folder.path();
    // A run whose files lead out, one that is itself a link, and a folder of cells that is one.
    let links = written(outside, "links", "", 3);
    for file in ["infomax.log", "views.png", "origins.json", "evaluation.json"] {
        symlink(outside.join("secret.txt"), links.path.join(file)).unwrap();
    }
    let other = tempfile::tempdir().unwrap();
    written(other.path(), "elsewhere", "loss.name = \"a secret of somebody else's\"", 3);
    symlink(other.path().join("runs/elsewhere"), outside.join("runs/link")).unwrap();
    symlink(other.path().join("runs"), outside.join("runs/cells")).unwrap();
    symlink("/", outside.join("runs/root")).unwrap();
    let before = contents(&outside.join("runs"));
    let board = shown(outside, &[]);
    let mut asked = ways_out(outside);
    asked.extend(
        ["/", "/?cells=1", "/run?name=runs/links", "/run?name=runs/link", "/overlay?run=runs/links"].map(str::to_owned),
    );
    asked.push("/picture?name=runs/links&file=views.png".to_owned());
    let refused = asked.iter().filter(|address| {
        let answer = board.get(address);
        let is_kept = !answer.body.contains(SECRET) && !answer.body.contains("root:x:") && answer.status != 0;
        assert!(is_kept, "{address}: {} {}", answer.status, answer.body);
        is_kept
    });
    figure("board", "addresses that lead out of the folder, nothing shown", refused.count(), asked.len());
    let list = board.get("/").body;
    assert!(list.contains("leads out of the folder"), "{list}");
    assert!(board.get("/run?name=runs/links").body.contains("is a link, which is not followed"));
    assert_eq!(board.get("/run?name=runs/good").status, 200);
    assert_eq!(contents(&outside.join("runs")), before, "nothing is written");
}

#[test]
fn whatever_runs_are_called_and_say_stays_text() {
    let folder = folder();
    let name = "<b>bold<img src=x onerror=alert(1)>";
    let mut run = written(
        folder.path(),
        name,
        &format!("[loss]\nname = {0}\n[loss.config]\n{0} = {0}", toml::Value::from(EVIL)),
        12,
    );
    run.append(13, &[(EVIL, 1.0), ("lr", 0.1), ("loss", 1.0)]);
    run.append(13, &[(&format!("{EVIL}_top1"), 5.0)]);
    run.history(&serde_json::json!({"at": 1, "how": "failed", "told": EVIL, "hint": EVIL}).to_string());
    fs::write(run.path.join("infomax.log"), format!("{EVIL}\u{1b}[2J\n")).unwrap();
    let studies = folder.path().join("runs/studies");
    fs::create_dir(&studies).unwrap();
    let cell = serde_json::json!({"number": 1, "title": EVIL, "id": EVIL, "values": [EVIL], "seed": 1, "told": EVIL});
    let ledger = serde_json::json!({"question": EVIL, "metric": EVIL, "axes": [EVIL], "cells": [cell]});
    fs::write(studies.join(format!("{}.json", EVIL.replace('/', "|"))), ledger.to_string()).unwrap();
    fs::write(studies.join("broken.json"), "{").unwrap();
    let board = shown(folder.path(), &[]);
    let list = board.get("/").body;
    let studies = list.match_indices("/study?name=").map(|(at, _)| list[at..].split('"').next().unwrap().to_owned());
    let own = format!(
        "/run?name=runs%2F{}",
        name.replace('<', "%3C").replace('>', "%3E").replace(' ', "+").replace('=', "%3D")
    );
    let pages = [
        "/".to_owned(),
        own.clone(),
        format!("/overlay{}&run=runs/good", own.trim_start_matches("/run").replace("name", "run")),
    ];
    let pages: Vec<String> = pages.into_iter().chain(studies).collect();
    assert_eq!(pages.len(), 5, "{pages:?}");
    let mut leaks = Vec::new();
    for page in &pages {
        for address in [page.clone(), format!("{page}{}live=0", if page.contains('?') { '&' } else { '?' })] {
            let answer = board.get(&address);
            let tags = ["<img src=x", "<b>bold", "</script>\"'", "\u{1b}"];
            leaks.extend(tags.iter().filter(|tag| answer.body.contains(**tag)).map(|tag| format!("{address}: {tag}")));
            let policy = answer.head.to_lowercase();
            assert!(policy.contains("default-src 'none'; script-src 'self'") && policy.contains("nosniff"), "{policy}");
        }
    }
    assert!(board.get(&own).body.contains("&lt;img src=x"));
    let good = pages.iter().filter(|page| !leaks.iter().any(|leak| leak.starts_with(*page))).count();
    figure("board", "pages on hostile names and values that stay text", good, pages.len());
    assert!(leaks.is_empty(), "{leaks:?}");
}

#[test]
fn other_sites_and_other_machines_are_not_answered() {
    let folder = folder();
    let board = shown(folder.path(), &[]);
    let port = board.address.port();
    let ask = |lines: &str| board.ask(&format!("GET / HTTP/1.1\r\n{lines}Connection: close\r\n\r\n"));
    let foreign = [
        "Host: evil.example\r\n".to_owned(),
        format!("Host: evil.example:{port}\r\n"),
        format!("Host: 127.0.0.1.nip.io:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nOrigin: https://evil.example\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nOrigin: null\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: websocket\r\n"),
        String::new(),
    ];
    let is_refused = |lines: &&String| {
        let answer = ask(lines);
        matches!(answer.status, 400 | 403) && !answer.body.contains("runs/good")
    };
    let answered: Vec<&String> = foreign.iter().filter(|lines| !is_refused(lines)).collect();
    figure("board", "requests of other sites that are refused", foreign.len() - answered.len(), foreign.len());
    assert!(answered.is_empty(), "{answered:?}");
    assert_eq!(ask(&format!("Host: localhost:{port}\r\n")).status, 200);
    assert!(!board.get("/").head.to_lowercase().contains("access-control-allow-origin"));

    let open = shown(folder.path(), &["--address", "0.0.0.0"]);
    assert!(open.url.contains("/?token="), "{}", open.url);
    assert_eq!(open.get("/").status, 401);
    assert_eq!(open.get("/run?name=runs/good&live=0").status, 401);
    let token = open.url.split("token=").nth(1).unwrap().to_owned();
    let sent = open.get(&format!("//evil.example/x?token={token}&scale=log"));
    assert_eq!(sent.status, 303);
    assert!(sent.head.contains("location: /?scale=log"), "{}", sent.head);
    let cookie = sent
        .head
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let own = format!("GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n");
    assert_eq!(open.ask(&own).status, 200);
}

#[test]
fn a_crowd_and_nonsense_keep_nobody_waiting() {
    let folder = folder();
    let board = shown(folder.path(), &[]);
    // Some never say what they want, some say it slowly, some say nonsense, some leave.
    let mut crowd: Vec<TcpStream> = (0..200)
        .map(|n| {
            let mut stream = TcpStream::connect(board.address).unwrap();
            let text: &[u8] = match n % 5 {
                0 => b"",
                1 => b"GET / HTT",
                2 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                3 => b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999999\r\n\r\n",
                _ => b"GET /run?name=runs/good HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            };
            let _ = stream.write_all(text);
            stream
        })
        .collect();
    let began = Instant::now();
    let is_served = board.get("/").status == 200 && began.elapsed() < Duration::from_secs(20);
    figure(
        "board",
        "connections at once, beside which a page comes",
        if is_served { crowd.len() } else { 0 },
        crowd.len(),
    );
    assert!(is_served, "{:?}", began.elapsed());
    for stream in &mut crowd {
        let _ = stream.write_all(b"X");
    }
    let nonsense = [
        format!("GET /{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "a".repeat(200_000)),
        format!("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {}\r\n\r\n", "b".repeat(200_000)),
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".to_owned(),
        "DELETE /run?name=runs/good HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".to_owned(),
        "GET /?smooth=1e999&scale=%ff&live=%00 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".to_owned(),
        format!(
            "GET /overlay?{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
            "run=runs/good&".repeat(2000)
        ),
        "\r\n\r\n\r\n".to_owned(),
        "GET".to_owned(),
    ];
    let answered: Vec<u16> = nonsense.iter().map(|request| board.ask(request).status).collect();
    assert_eq!(answered[2..5], [405, 405, 200], "{answered:?}");
    // Too long for any page, or cut off: refused in words, or hung up on.
    let is_refused = |status: u16| matches!(status, 0 | 400 | 414 | 431);
    assert!(
        answered[..2].iter().chain(&answered[5..]).all(|status| is_refused(*status) || *status == 200),
        "{answered:?}"
    );
    drop(crowd);
    assert_eq!(board.get("/").status, 200);
}

#[test]
fn runs_of_any_damage_are_shown_as_far_as_they_go() {
    let folder = folder();
    let runs = folder.path().join("runs");
    let mut cases = 0;
    let mut damaged = |name: &str, file: &str, bytes: &[u8]| {
        let run = written(folder.path(), name, "loss.name = \"amdim\"", 12);
        run.history("");
        fs::write(run.path.join(file), bytes).unwrap();
        cases += 1;
    };
    let long = [b"{\"step\":1,\"x\":\"".as_slice(), &vec![b'y'; 3 << 20], b"\"}\n"].concat();
    for (index, bytes) in
        [&b""[..], b"\0\0\0\0", b"{", b"[]", b"null", b"\xff\xfe{}", b"{\"parts\": [{\"began\": -1}]}", &long]
            .iter()
            .enumerate()
    {
        for file in [
            "config.toml",
            "history.json",
            "metrics.jsonl",
            "run.json",
            "hardware.json",
            "origins.json",
            "run.lock",
            "views.png",
            "evaluation.json",
        ] {
            damaged(&format!("{file}-{index}"), file, bytes);
        }
    }
    let extreme = "{\"step\":18446744073709551615,\"epoch\":0,\"seconds\":1e308,\"loss\":1e308,\"lr\":1e-308,\"images_per_second\":-1e308}\n";
    damaged("extreme", "metrics.jsonl", format!("{extreme}{}", extreme.replace("1e308", "-1e308")).as_bytes());
    for (name, file) in
        [("folder", "metrics.jsonl"), ("folder2", "config.toml"), ("folder3", "history.json"), ("folder4", "run.lock")]
    {
        fs::create_dir_all(runs.join(name).join(file)).unwrap();
        fs::write(runs.join(name).join("run.json"), "{}").unwrap();
        cases += 1;
    }
    let pipe = written(folder.path(), "pipe", "", 2);
    fs::remove_file(pipe.path.join("metrics.jsonl")).unwrap();
    for file in ["metrics.jsonl", "infomax.log", "run.lock"] {
        let path = std::ffi::CString::new(pipe.path.join(file).to_str().unwrap()).unwrap();
        // SAFETY: the path is a C string.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    }
    cases += 1;
    // A cell whose lease is a pipe, whose failure is a link, and a study that names a cell outside.
    let cell = written(folder.path(), "cells/0123/run", "", 12);
    cell.history("");
    let lease = std::ffi::CString::new(runs.join("cells/0123/lease-1").to_str().unwrap()).unwrap();
    // SAFETY: the path is a C string.
    assert_eq!(unsafe { libc::mkfifo(lease.as_ptr(), 0o600) }, 0);
    symlink("/dev/zero", runs.join("cells/0123/failure.json")).unwrap();
    fs::create_dir_all(runs.join("studies")).unwrap();
    let ledger = serde_json::json!({"axes": [], "cells": [
        {"number": 1, "title": "a", "id": "0123", "seed": 1}, {"number": 2, "title": "b", "id": "../../outside", "seed": 2}]});
    fs::write(runs.join("studies/out.json"), ledger.to_string()).unwrap();
    let before = contents(&runs);
    let board = shown(folder.path(), &[]);
    let list = board.get("/").body;
    let names: Vec<String> = before
        .iter()
        .filter(|(path, ..)| path.parent() == Some(&runs))
        .map(|(path, ..)| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut good = 0;
    for name in names.iter().filter(|name| !["good", "cells", "studies"].contains(&name.as_str())) {
        assert!(
            list.contains(&format!("runs/<wbr>{name}")) || list.contains(&format!("value=\"runs/{name}\"")),
            "{name} is not listed"
        );
        let answer = board.get(&format!("/run?name=runs/{name}"));
        assert_eq!(answer.status, 200, "{name}: {}", answer.body);
        assert_eq!(
            board.get(&format!("/overlay?run=runs/{name}&run=runs/good&scale=log&smooth=0.9")).status,
            200,
            "{name}"
        );
        good += 1;
    }
    figure("board", "damaged runs that are shown as far as they go", good, cases);
    assert_eq!(good, cases);
    assert_eq!(board.get("/run?name=runs/cells/0123").status, 200);
    let study = board.get("/study?name=runs/studies/out");
    assert!(study.body.contains("no cell is called"), "{}", study.body);
    assert_eq!(contents(&runs), before, "nothing is written");
    assert!(is_alive(&board));
}

fn is_alive(board: &Shown) -> bool {
    thread::sleep(Duration::from_secs(2)); // a look later
    let mut stream = TcpStream::connect(board.address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).is_ok() && text.starts_with("HTTP/1.1 200")
}
