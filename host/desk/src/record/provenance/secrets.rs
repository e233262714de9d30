//! What must not be written down: values whose name says that they are secret, and logins in addresses.

use regex_lite::{Captures, Regex};

/// In the place of a secret.
pub const HIDDEN: &str = "<hidden>";

/// Whether a variable's name, or a part of it, says that its value is a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    ["TOKEN", "KEY", "PASSWORD", "PASSWD", "SECRET", "CREDENTIAL"].iter().any(|word| name.contains(word))
}

/// A text without the login of `https://name:password@host`.
pub fn without_logins(text: &str) -> String {
    let login = Regex::new(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s]+@").expect("the pattern is whole");
    login.replace_all(text, |found: &Captures<'_>| format!("{}{HIDDEN}@", &found[1])).into_owned()
}

/// A word of a command line without secrets: `KEY=VALUE` whose key ends in such a name keeps its key. `weights_key` and the like name
/// an entry of a file.
pub fn of_word(word: &str) -> String {
    const ENDS: [&str; 8] =
        ["token", "password", "passwd", "secret", "credentials", "api_key", "access_key", "secret_key"];
    match word.split_once('=') {
        Some((key, _)) if ENDS.iter().any(|end| key.to_lowercase().replace('-', "_").ends_with(end)) => {
            format!("{key}={HIDDEN}")
        }
        _ => without_logins(word),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_keys_and_lose_their_secrets() {
        assert_eq!(of_word("dataset.config.api_key=abc"), "dataset.config.api_key=<hidden>");
        assert_eq!(of_word("--hub-token=abc"), "--hub-token=<hidden>");
        assert_eq!(of_word("encoder.weights_key=student"), "encoder.weights_key=student");
        assert_eq!(of_word("root=s3://me:word@host/x"), "root=s3://<hidden>@host/x");
        assert_eq!(of_word("train.seed=2"), "train.seed=2");
    }
}
