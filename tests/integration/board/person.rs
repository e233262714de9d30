//! What a person does with the board, in a browser: looks, filters, sorts, opens, compares, waits, with pointer and keys, on a phone and on
//! a wide screen, in light and in dark.

use super::{
    browser::{Browser, browser},
    page::{shown, written},
};
use crate::support::figures::figure;
use std::{
    env, fs,
    path::{Path, PathBuf},
};

const DONE: &str = r#"{"at": 1700000100, "how": "finished"}"#;

/// Where pictures go that somebody wants to look at.
fn pictures() -> Option<PathBuf> {
    env::var_os("INFOMAX_SHOW_PICTURES").map(PathBuf::from)
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (index, loss) in ["amdim", "nt-xent", "vicreg", "byol"].into_iter().enumerate() {
        for seed in 0..3 {
            let config = format!("loss.name = \"{loss}\"\noptimizer.lr = 0.{}\nseed.value = {seed}", index + 1);
            written(folder.path(), &format!("{loss}-{seed}"), &config, 60 + 10 * seed).history(DONE);
        }
    }
    written(folder.path(), "bad", "loss.name = \"amdim\"\noptimizer.lr = 9.0", 7)
        .history(r#"{"at": 1700000100, "how": "diverged", "told": "the loss is not finite (step 7)"}"#);
    folder
}

/// Rows that are to be seen.
const SHOWN: &str = "[...document.querySelectorAll('#rows tr:not([hidden])')]";

#[test]
fn a_person_finds_opens_and_compares_runs() {
    let Some(mut page) = browser() else { return };
    let folder = folder();
    let mut live = written(folder.path(), "live", "loss.name = \"amdim\"", 20);
    live.history("");
    // Held as a process holds it that trains.
    let lock = fs::File::create(live.path.join("run.lock")).unwrap();
    fs::write(live.path.join("run.lock"), r#"{"pid": 1, "host": "", "started": ""}"#).unwrap();
    lock.lock().unwrap();
    let board = shown(folder.path(), &[]);
    page.window(1280, 900, "light");
    page.open(&board.url);
    assert_eq!(page.eval(&format!("{SHOWN}.length")), 14);

    // Filter by typing, by state, and by both; what is shown survives a reload.
    page.key("/");
    page.text("vicreg");
    page.until(&format!("{SHOWN}.length === 3"));
    page.open(&board.url);
    page.click(".chips button[data-state=diverged]");
    page.until(&format!("{SHOWN}.length === 1 && document.querySelector('.cause').innerText.includes('not finite')"));
    page.ask("Page.reload", serde_json::json!({}));
    page.until(&format!(
        "document.readyState === 'complete' && location.hash.includes('diverged') && {SHOWN}.length === 1"
    ));
    page.click(".chips button[data-state=diverged]");

    // Sort by the result, best first, then the other way round.
    page.click("#runs th[data-key=result] button");
    page.until(&format!("{SHOWN}[0].dataset.step === '80' && document.querySelector('th[aria-sort=descending]')"));
    page.click("#runs th[data-key=result] button");
    page.until(&format!("{SHOWN}[0].dataset.name === 'runs/live'"));

    // With keys alone: open a run, change its charts, come back.
    page.open(&board.url);
    page.key("/");
    page.text("byol-2");
    page.key("Escape");
    page.key("j");
    page.key("Enter");
    page.until("document.readyState === 'complete' && location.pathname === '/run' && document.querySelectorAll('figure.chart').length >= 4");
    page.key("l");
    page.until("document.querySelector('.chart .unit').innerText.includes('logarithmic') && location.search.includes('scale=log')");
    page.eval("document.querySelector('input[name=smooth]').focus()");
    (0..20).for_each(|_| page.key("ArrowRight"));
    page.until("document.querySelector('.line.pale') && document.querySelector('output').value === '0.20'");
    page.hover("figure.chart svg");
    page.until("document.querySelector('.readout')?.innerText.includes('at step')");
    page.eval(
        "document.activeElement.blur(); document.querySelector('select[name=over]').value = 'time'; \
        document.querySelector('#drawing').dispatchEvent(new Event('input'))",
    );
    page.until("document.querySelector('figure.chart svg').textContent.includes('minutes') || document.querySelector('figure.chart svg').textContent.includes('seconds')");
    page.key("r");
    page.until("document.readyState === 'complete' && location.pathname === '/'");

    // Two runs over one another: only what differs.
    page.open(&board.url);
    page.click("input[value='runs/amdim-0']");
    page.click("input[value='runs/vicreg-0']");
    page.until("document.querySelector('#chosen').innerText === '2 chosen'");
    page.eval("document.activeElement.blur()");
    page.key("o");
    page.until("document.readyState === 'complete' && location.pathname === '/overlay' && document.querySelectorAll('figure.chart').length >= 2");
    let heads = page.eval("[...document.querySelectorAll('thead th')].map((th) => th.innerText).join()");
    assert_eq!(heads, "run,state,step,linear_top1,time,loss,lr");
    assert_eq!(page.eval("document.querySelector('figure.chart').querySelectorAll('path.line').length"), 2);

    // A run goes on: its page follows by itself; what was opened stays open, and a pointer at rest is told of the new curves.
    page.open(&format!("http://{}/run?name=runs/live", board.address));
    page.until("document.querySelector('.badge').innerText.includes('training')");
    page.eval("window.kept = true; document.querySelectorAll('details').forEach((d) => (d.open = false)); document.querySelector('details').open = true");
    page.hover("figure.chart svg");
    page.until("document.querySelector('.readout')?.innerText.includes('at step')");
    page.eval("document.querySelector('.readout').dataset.former = 'yes'");
    (21..=35).for_each(|step| live.row(step));
    page.until("document.querySelector('header').innerText.includes('35')");
    assert_eq!(
        page.eval(
            "window.kept && document.querySelector('details').open && !document.querySelectorAll('details')[1].open"
        ),
        true
    );
    page.until("document.querySelector('.readout')?.innerText.includes('at step') && !document.querySelector('.readout').dataset.former");
    live.history(DONE);
    drop(lock);
    fs::write(live.path.join("run.lock"), "").unwrap();
    page.until("document.querySelector('.badge').innerText === 'done'");

    // A new run comes into the list by itself, another goes away.
    page.open(&board.url);
    page.click("input[value='runs/byol-0']");
    written(folder.path(), "fresh", "loss.name = \"dino\"", 10).history(DONE);
    page.until(&format!("{SHOWN}.some((row) => row.dataset.name === 'runs/fresh')"));
    assert_eq!(page.eval("document.querySelector(\"input[value='runs/byol-0']\").checked"), true, "still chosen");
    fs::remove_dir_all(folder.path().join("runs/fresh")).unwrap();
    page.until(&format!("!{SHOWN}.some((row) => row.dataset.name === 'runs/fresh')"));

    // The board ends: the page says so, and goes on when it is back.
    let port = board.address.port().to_string();
    drop(board);
    page.until("document.querySelector('#told').innerText.includes('does not answer')");
    let refused = page.complaints.iter().all(|told| told.contains("ERR_CONNECTION_REFUSED"));
    assert!(refused, "{:?}", page.complaints);
    // What went away and what came meanwhile is shown too.
    fs::remove_dir_all(folder.path().join("runs/byol-0")).unwrap();
    written(folder.path(), "later", "loss.name = \"dino\"", 10).history(DONE);
    let _again = shown(folder.path(), &["--port", &port]);
    page.until("document.querySelector('#told').innerText === ''");
    let has = |name: &str| format!("{SHOWN}.some((row) => row.dataset.name === 'runs/{name}')");
    page.until(&format!("!{} && {}", has("byol-0"), has("later")));
}

/// What `infomax evaluate` would have written: four classes, of which each is taken for the next one now and then.
fn evaluation() -> String {
    let classes = |n: i64| serde_json::json!({"label": n, "class": format!("class {n}"), "test_images": 50, "linear_top1": 80.0, "knn_top1": 70.0});
    let cells: Vec<[i64; 3]> = (0..4).flat_map(|n| [[n, n, 40], [n, (n + 1) % 4, 10]]).collect();
    let row = serde_json::json!({
        "step": 400, "dataset": "shapes", "labels": "all", "train_images": 100, "test_images": 200, "linear_top1": 80.0, "knn_top1": 70.0,
        "classes": (0..4).map(classes).collect::<Vec<_>>(), "confusion": {"linear": cells, "knn": cells},
    });
    serde_json::json!([row]).to_string()
}

fn overflow(page: &mut Browser) -> i64 {
    page.eval("document.documentElement.scrollWidth - window.innerWidth").as_i64().unwrap()
}

#[test]
fn long_lists_have_pages_and_are_chosen_from_at_once() {
    let Some(mut page) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    for index in 0..230 {
        let loss = if index % 10 == 0 { "byol" } else { "amdim" };
        let config = format!("loss.name = \"{loss}\"\noptimizer.lr = 0.{index:03}");
        written(folder.path(), &format!("run-{index:03}"), &config, 20).history(DONE);
    }
    let board = shown(folder.path(), &[]);
    page.window(1280, 900, "light");
    page.open(&board.url);
    let shown = |page: &mut Browser| page.eval(&format!("{SHOWN}.length")).as_i64().unwrap();
    let told = |page: &mut Browser| page.eval("document.querySelector('#pages span').innerText");
    assert_eq!((shown(&mut page), told(&mut page)), (100, "1 to 100 of 230".into()));
    page.click("#after");
    page.click("#after");
    assert_eq!((shown(&mut page), told(&mut page)), (30, "201 to 230 of 230".into()));
    page.eval("window.old = true; location.reload()");
    page.until(
        "!window.old && document.readyState === 'complete' && document.querySelector('#pages span').innerText === '201 to 230 of 230'",
    );
    // All that fit the filter are chosen, those on other pages too, and no others.
    page.click("#all");
    page.until("document.querySelector('#chosen').innerText === '230 chosen'");
    page.click("#all");
    page.until("document.querySelector('#chosen').innerText === ''");
    page.key("/");
    page.text("byol");
    page.key("Escape");
    page.until(&format!("{SHOWN}.length === 23 && document.querySelector('#pages').hidden"));
    page.key("a");
    page.until("document.querySelector('#chosen').innerText === '23 chosen' && document.querySelector('#all').checked");
    page.key("o");
    page.until("document.readyState === 'complete' && location.pathname === '/overlay' && document.querySelectorAll('figure.chart').length >= 2");
    // One number of those that there are, and all again in their order.
    let charts = "[...document.querySelectorAll('figure.chart .what')].map((what) => what.innerText).join()";
    let all = page.eval(charts);
    let choose = |page: &mut Browser, metric: &str| {
        page.eval(&format!(
            "document.querySelector('select[name=metric]').value = '{metric}'; \
            document.querySelector('#drawing').dispatchEvent(new Event('input'))"
        ))
    };
    choose(&mut page, "loss");
    page.until(&format!("{charts} === 'loss' && location.search.includes('metric=loss')"));
    page.eval("window.old = true; location.reload()");
    page.until(&format!("!window.old && document.readyState === 'complete' && {charts} === 'loss' && document.querySelector('select[name=metric]').value === 'loss'"));
    choose(&mut page, "");
    page.until(&format!("{charts} === {all}"));
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
}

/// A search by halving of two losses, whose cells are done as far as it came.
fn study(folder: &Path) {
    let mut cells = Vec::new();
    for (loss, rungs) in [("amdim", 2), ("a-loss-with-a-long-name-that-fits-no-phone", 1), ("vicreg", 2)] {
        for rung in 1..=rungs {
            for seed in 1..=2 {
                let id = format!("{}{rung}{seed}", loss.replace('-', ""));
                let mut run =
                    written(folder, &format!("cells/{id}/run"), &format!("loss.name = \"{loss}\""), 40 * rung);
                run.append(40 * rung, &[("linear_top1", 30.0 + (loss.len() * seed as usize) as f64)]);
                run.history(DONE);
                cells.push(serde_json::json!({
                    "number": cells.len() + 1, "title": format!("loss {loss} · seed {seed}"), "id": id, "values": [loss], "seed": seed,
                    "rung": rung,
                }));
            }
        }
    }
    let ledger = serde_json::json!({
        "question": "which", "metric": "linear_top1", "axes": ["loss"], "baseline": ["amdim"], "rungs": 2, "cells": cells,
    });
    fs::create_dir_all(folder.join("runs/studies")).unwrap();
    fs::write(folder.join("runs/studies/search.json"), ledger.to_string()).unwrap();
}

#[test]
fn a_studys_charts_fit_a_phone_and_compare_what_was_trained_equally_long() {
    let Some(mut page) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    study(folder.path());
    let board = shown(folder.path(), &[]);
    for (width, class) in [(390, "narrow"), (1280, "")] {
        page.window(width, 844, "light");
        page.open(&format!("http://{}/study?name=runs/studies/search", board.address));
        assert!(overflow(&mut page) <= 0);
        let seen = "[...document.querySelectorAll('.broad svg')].filter((svg) => svg.getClientRects().length)";
        assert_eq!(page.eval(&format!("{seen}.length")), 3, "effects, curves, scatter");
        assert_eq!(
            page.eval(&format!("{seen}.every((svg) => svg.classList.contains('narrow') === {})", class == "narrow")),
            true
        );
        let scrolled =
            "[...document.querySelectorAll('.broad .wide')].filter((box) => box.scrollWidth > box.clientWidth).length";
        assert_eq!(page.eval(scrolled), 0, "a chart is wider than {width}");
        let small = format!(
            "Math.min(...{seen}.flatMap((svg) => [...svg.querySelectorAll('text')]).map((t) => t.getBoundingClientRect().height))"
        );
        assert!(page.eval(&small).as_f64().unwrap() > 10.0, "text is too small to read: {}", page.eval(&small));
        let crossed = format!(
            "{seen}.flatMap((svg) => [...svg.querySelectorAll('.effect')]).filter((row) => {{ \
            const [label, value] = ['.label', '.value'].map((what) => row.querySelector(what).getBoundingClientRect()); \
            return label.right > value.left; }}).length"
        );
        assert_eq!(page.eval(&crossed), 0, "words cover one another at {width}");
        if let Some(folder) = pictures() {
            page.picture(&folder.join(format!("study-{width}.png")));
        }
    }
    let text = page.eval("document.body.innerText").as_str().unwrap().to_owned();
    for told in ["at rung 2", "Compared is only what was trained equally long"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let rows = page.eval(
        "[...document.querySelectorAll('.effects:not(.narrow) .label')].map((label) => label.textContent).join()",
    );
    assert_eq!(
        rows.as_str().unwrap().split(',').filter(|label| label.contains("amdim")).count(),
        1,
        "each point once: {rows}"
    );
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
}

#[test]
fn pages_fit_every_screen_in_light_and_dark() {
    let Some(mut page) = browser() else { return };
    let folder = folder();
    let name = "a-run-with-a-name-that-is-longer-than-any-phone-is-wide-and-has-no-space-in-it-0123456789";
    written(folder.path(), name, "loss.name = \"amdim\"\noptimizer.lr = 1e-12", 400).history(DONE);
    let evaluated = folder.path().join("runs").join(name).join("evaluation.json");
    fs::write(evaluated, evaluation()).unwrap();
    let board = shown(folder.path(), &[]);
    let at = |path: &str| format!("http://{}{path}", board.address);
    let pages = [
        ("list", at("/")),
        ("run", at(&format!("/run?name=runs/{name}"))),
        ("overlay", at(&format!("/overlay?run=runs/{name}&run=runs/amdim-0&run=runs/byol-1"))),
    ];
    let mut good = 0;
    for (width, height) in [(390, 844), (1024, 768), (1920, 1080)] {
        for scheme in ["light", "dark"] {
            page.window(width, height, scheme);
            for (what, url) in &pages {
                page.open(url);
                assert!(overflow(&mut page) <= 0, "{what} is wider than {width}: {}", overflow(&mut page));
                let paper = page.eval("getComputedStyle(document.body).backgroundColor");
                assert_eq!(paper == "rgb(255, 255, 255)", scheme == "light", "{paper}");
                let cut = page.eval("[...document.querySelectorAll('svg text')].filter((t) => { const b = t.getBoundingClientRect(), s = t.ownerSVGElement.getBoundingClientRect(); return b.left < s.left - 1 || b.right > s.right + 1; }).map((t) => t.textContent).join()");
                assert_eq!(cut, "", "labels are cut at {width} on {what}");
                let pale = page.eval("[...document.querySelectorAll('.matrix td.right')].filter((td) => getComputedStyle(td).backgroundColor === 'rgba(0, 0, 0, 0)').length");
                assert_eq!(pale, 0, "the matrix has its colours");
                if let Some(folder) = pictures() {
                    page.picture(&folder.join(format!("{what}-{width}-{scheme}.png")));
                }
                good += 1;
            }
        }
    }
    figure(
        "board",
        "pages at 390, 1024 and 1920 pixels, light and dark, that fit",
        good - page.complaints.len().min(good),
        good,
    );
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
}

#[test]
fn hostile_names_run_nothing() {
    let Some(mut page) = browser() else { return };
    let folder = tempfile::tempdir().unwrap();
    let evil = "<img src=x onerror=document.title='taken'>";
    let mut run = written(folder.path(), evil, &format!("[loss]\nname = \"{evil}\""), 12);
    run.append(13, &[(evil, 1.0), ("lr", 0.1), ("loss", 1.0)]);
    run.append(14, &[(&format!("{evil}_top1"), 5.0)]);
    run.history(&serde_json::json!({"at": 1, "how": "failed", "told": evil}).to_string());
    fs::write(run.path.join("infomax.log"), format!("<script>document.title='taken'</script>{evil}\n")).unwrap();
    let board = shown(folder.path(), &[]);
    page.open(&board.url);
    page.click("#rows th a");
    page.until(
        "document.readyState === 'complete' && location.pathname === '/run' && document.querySelector('figure.chart')",
    );
    run.append(15, &[(evil, 2.0), ("lr", 0.1), ("loss", 1.0)]);
    page.until("document.querySelector('header').innerText.includes('15')");
    page.hover("figure.chart svg");
    assert_eq!(
        page.eval("[document.title === 'taken', document.querySelectorAll('img[src=x]').length].join()"),
        "false,0"
    );
    assert!(page.complaints.is_empty(), "{:?}", page.complaints);
}
