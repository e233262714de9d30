//! What is built in: licences, sources, versions, as `.cargo/deny.toml` allows them. Row O12.

use crate::support::{
    figures::figure,
    workspace::{self, root},
};
use infomax::record::{now, utc};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

fn policy() -> toml::Table {
    fs::read_to_string(root().join(".cargo/deny.toml")).unwrap().parse().unwrap()
}

/// The packages of the workspace as locked, here.
fn packages() -> Vec<Value> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = workspace::cargo();
    // Another lock file than the one in the repository is an error.
    cargo.args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &target]);
    let output = cargo.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

fn strings(value: &toml::Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Whether an SPDX expression can be met by what is allowed. `/` is the old word for `OR`.
fn is_met(expression: &str, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let met = any(&tokens, &mut at, is_allowed);
    assert_eq!(at, tokens.len(), "`{expression}` can't be read");
    met
}

fn any(tokens: &[&str], at: &mut usize, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = all(tokens, at, is_allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all(tokens, at, is_allowed);
    }
    met
}

fn all(tokens: &[&str], at: &mut usize, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let mut met = one(tokens, at, is_allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(tokens, at, is_allowed);
    }
    met
}

fn one(tokens: &[&str], at: &mut usize, is_allowed: &dyn Fn(&str) -> bool) -> bool {
    let token = tokens[*at];
    *at += 1;
    if token == "(" {
        let met = any(tokens, at, is_allowed);
        *at += 1;
        return met;
    }
    if tokens.get(*at) == Some(&"WITH") {
        *at += 2;
        return is_allowed(&format!("{token} WITH {}", tokens[*at - 1]));
    }
    is_allowed(token)
}

#[test]
fn o12_every_licence_and_source_is_allowed() {
    let policy = policy();
    let allowed = strings(&policy["licenses"]["allow"]);
    let exceptions: BTreeMap<String, BTreeSet<String>> = policy["licenses"]["exceptions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|exception| (exception["crate"].as_str().unwrap().to_owned(), strings(&exception["allow"])))
        .collect();
    let registries: BTreeSet<String> =
        strings(&policy["sources"]["allow-registry"]).iter().map(|registry| format!("registry+{registry}")).collect();
    let packages = packages();
    assert!(packages.len() > 200);
    let mut faults = Vec::new();
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        let own = |licence: &str| {
            allowed.contains(licence) || exceptions.get(name).is_some_and(|more| more.contains(licence))
        };
        match package["license"].as_str() {
            Some(licence) if is_met(licence, &own) => {}
            licence => faults.push(format!("{name}: licence {licence:?}")),
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !registries.contains(source)) {
            faults.push(format!("{name}: source {source:?}"));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
    figure("O12", "packages whose licence and source are allowed", packages.len(), packages.len());
    let names: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    for name in exceptions.keys() {
        assert!(names.contains(name.as_str()), "the exception for `{name}` has no crate any more");
    }
}

#[test]
fn o12_what_must_be_there_once_is() {
    let (packages, policy) = (packages(), policy());
    for ban in policy["bans"]["deny"].as_array().unwrap() {
        let name = ban["crate"].as_str().unwrap();
        let most = usize::from(ban.get("deny-multiple-versions").is_some());
        let count = packages.iter().filter(|package| package["name"] == name).count();
        assert_eq!(count, most, "{name}");
    }
}

#[test]
fn o12_exceptions_to_advisories_have_an_end() {
    let locked = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let today = utc(now())[..10].to_owned();
    for ignored in policy()["advisories"]["ignore"].as_array().unwrap() {
        let reason = ignored["reason"].as_str().unwrap();
        let name = reason.split(':').next().unwrap();
        assert!(locked.contains(&format!("name = \"{name}\"")), "`{name}` is not used any more: remove the exception");
        let until = reason.rsplit_once("until ").expect("a reason ends with its last day").1;
        assert!(until.len() == 10 && until >= today.as_str(), "{name}: the exception ended on {until}: {reason}");
    }
}

#[test]
fn expressions_are_met_as_they_say() {
    let mit = |licence: &str| licence == "MIT" || licence == "Apache-2.0 WITH LLVM-exception";
    for met in ["MIT", "GPL-3.0/MIT", "GPL-3.0 OR MIT", "(GPL-3.0 OR MIT) AND MIT", "Apache-2.0 WITH LLVM-exception"] {
        assert!(is_met(met, &mit), "{met}");
    }
    for not in ["GPL-3.0", "MIT AND GPL-3.0", "MIT AND (GPL-3.0 OR BSD)", "Apache-2.0", "GPL-3.0 WITH LLVM-exception"] {
        assert!(!is_met(not, &mit), "{not}");
    }
}
