//! Words as a shell takes them.

/// One word, in quotes where it needs them.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-=,:+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command as it is typed; a word that begins with `~/`, for the home folder, keeps that.
pub fn line(words: &[String]) -> String {
    let word =
        |word: &String| word.strip_prefix("~/").map_or_else(|| quoted(word), |rest| format!("~/{}", quoted(rest)));
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{line, quoted};

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quoted("runs/a-1"), "runs/a-1");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted("$(x)"), "'$(x)'");
        assert_eq!(line(&["~/a b/x", "c d", "e"].map(str::to_owned)), "~/'a b/x' 'c d' e");
    }
}
