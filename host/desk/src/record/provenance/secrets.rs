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

/// A word of a command line without secrets: what follows a name that says so, in `KEY=VALUE`, in an inline table, in the fields of an
/// address. `weights_key` names an entry of a file.
pub fn of_word(word: &str) -> String {
    let field =
        Regex::new(r#"([A-Za-z0-9_.-]+)(["']?\s*=\s*)("[^"]*"|'[^']*'|[^,&\s{}\[\]]+)"#).expect("the pattern is whole");
    let hidden = |found: &Captures<'_>| {
        let is_hidden = is_secret(&found[1]) && !found[1].ends_with("weights_key");
        if is_hidden { format!("{}{}{HIDDEN}", &found[1], &found[2]) } else { kept(&found[1], &found[2], &found[3]) }
    };
    without_logins(&field.replace_all(word, hidden))
}

/// A field that is no secret; its value may hold further ones.
fn kept(name: &str, sign: &str, value: &str) -> String {
    let value = if value.contains('=') { of_word(value) } else { value.to_owned() };
    format!("{name}{sign}{value}")
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
        assert_eq!(of_word("dataset.config.private_key=abc"), "dataset.config.private_key=<hidden>");
        assert_eq!(
            of_word("dataset.config={api_key=\"a b\", size = 3}"),
            "dataset.config={api_key=<hidden>, size = 3}"
        );
        assert_eq!(of_word("url=https://h/x?access_token=abc&n=2"), "url=https://h/x?access_token=<hidden>&n=2");
        assert_eq!(of_word("loss.config.pairs=[\"1t5\", \"5t5\"]"), "loss.config.pairs=[\"1t5\", \"5t5\"]");
    }
}
