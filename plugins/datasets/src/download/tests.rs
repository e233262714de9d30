use super::*;
use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// What the server does with one connection.
#[derive(Clone, Copy)]
enum Answer {
    /// Resumes where asked, but breaks off after this many bytes.
    Cut(usize),
    /// Resumes where asked.
    Whole,
    /// Sends everything from the start, whatever is asked.
    NoRange,
    /// An error of the server.
    Status(u16),
}

/// Serves `content`; returns the address and the `Range` headers that came.
fn serve(content: Vec<u8>, answers: Vec<Answer>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/toy.tar.gz", listener.local_addr().expect("an address"));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().expect("a connection");
            let _ = respond(stream, &content, answer, &log);
        }
    });
    (url, seen)
}

fn respond(mut stream: TcpStream, content: &[u8], answer: Answer, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let mut range = String::new();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("range: ") {
            range = value.to_owned();
        }
    }
    log.lock().expect("no panic").push(range.clone());
    let start = range.strip_prefix("bytes=").and_then(|r| r.trim_end_matches('-').parse().ok()).unwrap_or(0);
    let (start, limit) = match answer {
        Answer::Status(status) => {
            return write!(stream, "HTTP/1.1 {status} Bad\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
        Answer::NoRange => (0, usize::MAX),
        Answer::Cut(limit) => (start, limit),
        Answer::Whole => (start, usize::MAX),
    };
    let rest = &content[start.min(content.len())..];
    let status = if start > 0 { "206 Partial Content" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n", rest.len())?;
    write!(stream, "Content-Range: bytes {start}-{}/{}\r\n\r\n", content.len() - 1, content.len())?;
    stream.write_all(&rest[..rest.len().min(limit)])
}

fn content() -> Vec<u8> {
    (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

#[test]
fn an_interrupted_download_is_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("toy");
    let (url, seen) =
        serve(content(), vec![Answer::Status(503), Answer::Cut(70_000), Answer::Cut(50_000), Answer::Whole]);
    Download { url: &url, target: &target, md5: &md5(&content()), retries: 3 }.run().expect("whole");
    assert_eq!(fs::read(&target).expect("read"), content());
    assert_eq!(*seen.lock().expect("no panic"), ["", "", "bytes=70000-", "bytes=120000-"]);
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "no .part is left");
}

#[test]
fn a_part_of_an_earlier_run_is_resumed() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("toy");
    fs::write(folder.path().join("toy.part"), &content()[..150_000]).expect("written");
    let (url, seen) = serve(content(), vec![Answer::Whole]);
    Download { url: &url, target: &target, md5: &md5(&content()), retries: 1 }.run().expect("whole");
    assert_eq!(fs::read(&target).expect("read"), content());
    assert_eq!(*seen.lock().expect("no panic"), ["bytes=150000-"]);
}

#[test]
fn a_server_that_cannot_resume_sends_it_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("toy");
    let (url, _) = serve(content(), vec![Answer::Cut(90_000), Answer::NoRange]);
    Download { url: &url, target: &target, md5: &md5(&content()), retries: 2 }.run().expect("whole");
    assert_eq!(fs::read(&target).expect("read"), content());
}

#[test]
fn a_wrong_checksum_is_refused_and_nothing_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("toy");
    let (url, _) = serve(content(), vec![Answer::Whole]);
    let wrong = "00000000000000000000000000000000";
    let error = Download { url: &url, target: &target, md5: wrong, retries: 1 }.run().expect_err("another file");
    assert!(error.message.ends_with(&format!("has the MD5 `{}`, expected `{wrong}`", md5(&content()))), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
}

#[test]
fn attempts_are_bounded_and_a_missing_file_is_final() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("toy");
    for (answers, reason) in [(vec![Answer::Status(500); 2], "status 500"), (vec![Answer::Status(404)], "status 404")] {
        let (url, seen) = serve(content(), answers.clone());
        let error = Download { url: &url, target: &target, md5: "", retries: 2 }.run().expect_err("no file");
        assert_eq!(error.causes, [reason]);
        assert_eq!(seen.lock().expect("no panic").len(), answers.len());
        assert!(!target.exists());
    }
}
